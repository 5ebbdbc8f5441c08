//! A template is a program from the internet; this gives it a budget.
//!
//! Steps are counted by the interpreter ("fuel"). Memory is weighed here: every callback that can make text longer
//! reports to the [`Meter`] of the render. Operators have no callback; `instrument` gives them one. Whatever could still
//! go wrong (deep recursion, a panic, a slow comparison) happens in a thread of its own: [`in_thread`].

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

use super::ChatError;
use crate::deadline::{Overrun, within};

/// One value.
const MAX_VALUE_BYTES: u64 = 1 << 24;
/// All text made during one render, kept or not.
pub(super) const MAX_TOTAL_BYTES: u64 = 1 << 28;
/// Steps of a render whose template has only short stretches of literal text.
pub(super) const MAX_STEPS: u64 = 1 << 20;
/// A backstop for what steps and bytes do not see; a render takes about a millisecond of an idle processor.
const MAX_TIME: Duration = Duration::from_secs(5);

/// Deeply nested values and templates are walked recursively; a stack overflow is not an error value.
const STACK_BYTES: usize = 1 << 28;

/// Does a job in a thread which bounds its stack, contains its panics and is left behind if it does not end.
pub(super) fn in_thread<T: Send + 'static>(
    job: impl FnOnce() -> Result<T, ChatError> + Send + 'static,
) -> Result<T, ChatError> {
    within(MAX_TIME * 2, STACK_BYTES, job).unwrap_or_else(|overrun| {
        Err(match overrun {
            Overrun::Late => ChatError::Exhausted("its seconds"),
            Overrun::Panicked => ChatError::Failed("the interpreter panicked".into()),
            Overrun::NoThread => ChatError::Failed("there is no thread to render in".into()),
        })
    })
}

/// What one render has used, shared by every callback of its environment.
pub(super) struct Meter {
    made: AtomicU64,
    spent: AtomicBool,
    deadline: Instant,
    refusal: Mutex<Option<String>>,
}

impl Meter {
    pub(super) fn start() -> Self {
        let (made, spent) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { made, spent, deadline: Instant::now() + MAX_TIME, refusal: Mutex::new(None) }
    }

    /// Counts `bytes` of new text.
    pub(super) fn charge(&self, bytes: u64) -> Result<(), Error> {
        let total = self.made.fetch_add(bytes.min(MAX_TOTAL_BYTES), Ordering::Relaxed).saturating_add(bytes);
        if bytes > MAX_VALUE_BYTES || total > MAX_TOTAL_BYTES || Instant::now() > self.deadline {
            self.spent.store(true, Ordering::Relaxed);
            return Err(Error::new(ErrorKind::InvalidOperation, "the template's budget is spent"));
        }
        Ok(())
    }

    /// Weighs a value as the text it would print as, and charges for it.
    pub(super) fn weigh(&self, value: &Value) -> Result<(), Error> {
        self.charge(weight(value))
    }

    pub(super) fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Relaxed)
    }

    /// Keeps what the template gave as its reason to stop.
    pub(super) fn refuse(&self, reason: String) {
        if let Ok(mut slot) = self.refusal.lock() {
            *slot = Some(reason);
        }
    }

    pub(super) fn refusal(&self) -> Option<String> {
        self.refusal.lock().ok().and_then(|mut slot| slot.take())
    }
}

/// What an item of a list weighs besides its text: it takes longer to visit than a byte.
const ITEM_BYTES: u64 = 64;

/// The size of a value as text, with shared parts counted as often as they would be printed; stops at the limit.
fn weight(value: &Value) -> u64 {
    let mut total = 0;
    let mut pending = vec![value.clone()];
    while let Some(value) = pending.pop() {
        total += value.as_str().map_or(ITEM_BYTES, |text| text.len() as u64);
        let room = MAX_VALUE_BYTES.saturating_sub(total) / ITEM_BYTES;
        if room <= pending.len() as u64 {
            return MAX_VALUE_BYTES + 1;
        }
        pending.extend(parts(&value).take(room as usize));
    }
    total
}

/// What a container holds; a dict holds keys and values.
fn parts(value: &Value) -> Box<dyn Iterator<Item = Value> + '_> {
    let items = match value.kind() {
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => value.try_iter().ok(),
        _ => None,
    };
    let items = items.into_iter().flatten();
    if value.kind() != ValueKind::Map {
        return Box::new(items);
    }
    Box::new(items.flat_map(|key| [value.get_item(&key).unwrap_or_default(), key]))
}

/// A writer that refuses a text longer than any model could read.
#[derive(Default)]
pub(super) struct Bounded(Vec<u8>);

impl Bounded {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.0.len() + bytes.len()) as u64 > MAX_VALUE_BYTES {
            return Err(io::Error::other("the text is too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
