//! The live view's painter: draws a frame over the one before it, and leaves the terminal as it was.

use crossterm::{cursor, queue, style::Print, terminal};
use std::{
    io::{self, Write as _},
    time::{Duration, Instant},
};

/// Frames are not drawn more often.
const PACE: Duration = Duration::from_millis(90);

pub(crate) struct Live {
    drawn: u16,
    last: Vec<String>,
    at: Option<Instant>,
}

impl Live {
    pub(crate) fn new() -> Self {
        // A terminal that takes no commands shows the frames one below the other.
        let _ = queue!(io::stderr(), cursor::Hide);
        Self {
            drawn: 0,
            last: Vec::new(),
            at: None,
        }
    }

    /// Width and height of the terminal.
    pub(crate) fn size() -> (usize, usize) {
        // A terminal that does not know its size says 0.
        let known = |size: &(u16, u16)| size.0 > 0 && size.1 > 0;
        let (width, height) = terminal::size().ok().filter(known).unwrap_or((80, 24));
        (usize::from(width.max(20)), usize::from(height.max(6)))
    }

    /// Draws a frame, if it differs and the last one is old enough.
    pub(crate) fn paint(&mut self, frame: &[String]) {
        let early = self.at.is_some_and(|at| at.elapsed() < PACE);
        if early || self.last == frame {
            return;
        }
        let _ = self.draw(frame);
        self.last = frame.to_vec();
        self.at = Some(Instant::now());
    }

    /// Prints a line that stays, above the frame.
    pub(crate) fn print_above(&mut self, line: &str) {
        let frame = std::mem::take(&mut self.last);
        let mut lines = vec![line.to_owned()];
        lines.extend(frame.iter().cloned());
        let _ = self.draw(&lines);
        self.drawn = u16::try_from(frame.len()).unwrap_or(u16::MAX);
        self.last = frame;
    }

    fn draw(&mut self, frame: &[String]) -> io::Result<()> {
        let mut out = io::stderr().lock();
        // A line that is too long is cut by the terminal: one that wrapped would spoil the count of lines to go back.
        queue!(out, terminal::BeginSynchronizedUpdate, terminal::DisableLineWrap)?;
        if self.drawn > 0 {
            queue!(out, cursor::MoveToPreviousLine(self.drawn))?;
        }
        for line in frame {
            queue!(
                out,
                terminal::Clear(terminal::ClearType::UntilNewLine),
                Print(line),
                Print("\r\n")
            )?;
        }
        queue!(
            out,
            terminal::Clear(terminal::ClearType::FromCursorDown),
            terminal::EnableLineWrap,
            terminal::EndSynchronizedUpdate
        )?;
        self.drawn = u16::try_from(frame.len()).unwrap_or(u16::MAX);
        out.flush()
    }

    /// Leaves this frame standing, however soon it comes.
    pub(crate) fn finish(mut self, frame: &[String]) {
        let _ = self.draw(frame);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let mut out = io::stderr();
        let _ = queue!(out, cursor::Show);
        let _ = out.flush();
    }
}
