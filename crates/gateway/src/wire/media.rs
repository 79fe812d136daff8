//! Pictures, documents and sounds: data URLs and media types.

use super::ask::{Part, Source};

/// A part from a URL, which may hold the data itself.
pub(crate) fn of_url(url: &str, name: Option<&str>) -> Part {
    let data = url.strip_prefix("data:").and_then(|rest| {
        let (head, data) = rest.split_once(',')?;
        let mime = head.strip_suffix(";base64")?;
        Some((mime.split(';').next().unwrap_or_default(), data))
    });
    match data {
        Some((mime, data)) => of_data(mime, data, name),
        None => Part::Media {
            mime: String::new(),
            source: Source::Url(url.to_owned()),
            name: name.map(str::to_owned),
            cached: false,
        },
    }
}

/// A part from data in base 64.
pub(crate) fn of_data(mime: &str, data: &str, name: Option<&str>) -> Part {
    Part::Media {
        mime: mime.to_owned(),
        source: Source::Data(data.to_owned()),
        name: name.map(str::to_owned),
        cached: false,
    }
}

/// The URL of a source, with the data in it where there is data.
pub(crate) fn url(mime: &str, source: &Source) -> String {
    match source {
        Source::Data(data) => format!("data:{mime};base64,{data}"),
        Source::Url(url) => url.clone(),
    }
}

/// What can be looked at; of what is only pointed to, that is assumed.
pub(crate) fn is_image(mime: &str, source: &Source) -> bool {
    mime.starts_with("image/") || (mime.is_empty() && matches!(source, Source::Url(_)))
}
