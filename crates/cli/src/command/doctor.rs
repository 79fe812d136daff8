//! `maestria doctor`: what of this machine works, what does not, and what to do about it.

use super::{Context, Done, lists::print_json};
use crate::{exit::Exit, render};
use maestria_api::meta::Level;

pub(super) async fn execute(context: &Context, json: bool) -> Done {
    let lines = context.place()?.doctor().await?;
    let failed = lines.iter().any(|l| l.level == Level::Fail);
    if json {
        print_json(&lines)?;
    } else {
        println!("{}", render::doctor(&lines, context.paint));
    }
    Ok(if failed { Exit::User } else { Exit::Ok })
}
