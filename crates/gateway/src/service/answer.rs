//! The answer as the client gets it.

use crate::{
    clean::clean,
    provider::{Failure, Opened},
    question::{Question, Wanted},
    relay::Relay,
    tally::Tally,
    wire::{Answer, Dialect, Fault, Losses, Piece, Writer},
};
use bytes::Bytes;

/// An answer on its way to a client.
#[derive(Debug)]
pub(crate) struct Answered {
    /// `provider/model`.
    pub(crate) model: String,
    pub(crate) reason: String,
    pub(crate) losses: Losses,
    /// How the cache had a part in it, where there is one.
    pub(crate) cache: Option<String>,
    pub(crate) body: Body,
}

/// Its body.
#[derive(Debug)]
pub(crate) enum Body {
    /// One JSON document.
    Whole(Bytes),
    /// A stream that is here already.
    Told(Bytes),
    /// A stream that comes.
    Coming(Box<Relay>),
}

/// Puts the answer into the client's dialect, if it is not in it.
pub(super) async fn build(
    question: &Question,
    dialect: Option<Dialect>,
    opened: Opened,
    losses: Losses,
    mut tally: Tally,
    reason: &str,
) -> Result<Answered, Fault> {
    let face = question.face;
    let model = tally.model();
    let same = question.wanted != Wanted::Answer || (dialect == Some(face) && !question.array);
    let body = match opened {
        Opened::Whole(bytes, counts, stop) if same && !question.stream => {
            tally.first();
            if let Some(counts) = counts {
                tally.counts(counts);
            }
            if let Some(stop) = stop {
                tally.stopped(stop);
            }
            tally.done();
            Body::Whole(bytes)
        }
        Opened::Stream(stream) if same => {
            let relay = Relay::same(*stream, face, question.id.clone(), question.hides_usage(), tally);
            Body::Coming(Box::new(relay))
        }
        Opened::Stream(stream) => {
            let writer = Writer::new(face, question.manner());
            Body::Coming(Box::new(Relay::translated(
                *stream,
                face,
                question.id.clone(),
                writer,
                tally,
            )))
        }
        Opened::Whole(bytes, ..) => {
            let pieces = read(dialect, &bytes).inspect_err(|fault| tally.failed(fault))?;
            tell(question, pieces, tally)?
        }
        Opened::Pieces(pieces) => tell(question, pieces, tally)?,
    };
    Ok(Answered {
        model,
        reason: reason.to_owned(),
        losses,
        cache: None,
        body: match body {
            Body::Whole(bytes) => Body::Whole(clean(bytes)),
            Body::Told(bytes) => Body::Told(clean(bytes)),
            Body::Coming(relay) => Body::Coming(relay),
        },
    })
}

fn read(dialect: Option<Dialect>, bytes: &Bytes) -> Result<Vec<Piece>, Fault> {
    let body = serde_json::from_slice(bytes);
    let body = body.map_err(|e| Failure::provider(format!("its answer is no JSON: {e}")).told())?;
    Ok(dialect.map(|d| d.read_document(&body)).unwrap_or_default())
}

/// A whole answer in the client's dialect, as a document or as a stream.
fn tell(question: &Question, pieces: Vec<Piece>, mut tally: Tally) -> Result<Body, Fault> {
    tally.pieces(&pieces);
    let fault = pieces.iter().find_map(|p| {
        if let Piece::Fault(fault) = p {
            Some(fault.clone())
        } else {
            None
        }
    });
    if let Some(fault) = fault {
        return Err(fault);
    }
    tally.done();
    if question.stream {
        let mut writer = Writer::new(question.face, question.manner());
        let mut out = Vec::new();
        pieces.iter().for_each(|piece| writer.piece(piece, &mut out));
        writer.finish(&mut out);
        return Ok(Body::Told(out.into()));
    }
    let mut answer = Answer::default();
    pieces.into_iter().for_each(|piece| answer.add(piece));
    answer.close();
    Ok(Body::Whole(
        question
            .face
            .write_document(&answer, &question.manner())
            .to_string()
            .into(),
    ))
}
