//! What a source does to messages before rows are made of them: it takes colours out, leaves events
//! out, and hides what nobody is to read. Pure.

use std::borrow::Cow;

use crate::config::Source;

impl Source {
    /// Whether it does anything to messages.
    pub(crate) fn cleans(&self) -> bool {
        self.strip_ansi || !(self.drop.is_empty() && self.keep.is_empty() && self.mask.is_empty())
    }

    /// A message as its line has it; `None`: its event is left out. Patterns see it without
    /// colours, those that choose see it before anything is hidden.
    pub(crate) fn cleaned<'m>(&self, message: &'m str) -> Option<Cow<'m, str>> {
        let message = match self.strip_ansi && message.contains('\x1b') {
            true => Cow::Owned(anstream::adapter::strip_str(message).to_string()),
            false => Cow::Borrowed(message),
        };
        let is_kept = self.keep.is_empty() || self.keep.iter().any(|one| one.matches(&message));
        if !is_kept || self.drop.iter().any(|one| one.matches(&message)) {
            return None;
        }
        Some(match message {
            Cow::Borrowed(message) => self.hidden(message),
            Cow::Owned(message) => Cow::Owned(self.hidden(&message).into_owned()),
        })
    }

    /// A text in which nothing is left of what it hides.
    pub(crate) fn hidden<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.mask.iter().fold(Cow::Borrowed(text), |text, mask| match text {
            Cow::Borrowed(text) => mask.hide(text),
            Cow::Owned(text) => Cow::Owned(mask.hide(&text).into_owned()),
        })
    }
}
