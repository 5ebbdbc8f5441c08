//! The Jinja environment that published templates expect, within the limits of `budget`.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::fmt::strtime::{BrokenDownTime, Config};
use minijinja::value::Rest;
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::budget::{Bounded, Meter, in_thread};
use super::instrument::{GROWN, whitespace};
use super::{ChatError, json};

/// Runs an instrumented template.
pub(super) fn render(
    source: &str,
    context: BTreeMap<String, serde_json::Value>,
    today: Date,
    fuel: u64,
) -> Result<String, ChatError> {
    let source = source.to_owned();
    in_thread(move || run(&source, context, today, fuel))
}

fn run(
    source: &str,
    context: BTreeMap<String, serde_json::Value>,
    today: Date,
    fuel: u64,
) -> Result<String, ChatError> {
    let meter = Arc::new(Meter::start());
    let mut env = environment(meter.clone(), today);
    env.set_fuel(Some(fuel));
    let mut out = Bounded::default();
    let template = env.template_from_str(source).map_err(|error| ChatError::Syntax(error.to_string()))?;
    let result = template.render_captured_to(Value::from_serialize(&context), &mut out);
    match result {
        Ok(_) => String::from_utf8(out.into_bytes()).map_err(|error| ChatError::Failed(error.to_string())),
        Err(error) => Err(explain(&error, &meter)),
    }
}

fn explain(error: &Error, meter: &Meter) -> ChatError {
    let ran_dry = |error: &Error| error.kind() == ErrorKind::OutOfFuel;
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Error>());
    if let Some(reason) = meter.refusal() {
        ChatError::Refused(reason)
    } else if ran_dry(error) || source.is_some_and(ran_dry) {
        ChatError::Exhausted("its steps")
    } else if meter.is_spent() || error.kind() == ErrorKind::WriteFailure {
        ChatError::Exhausted("its memory or time")
    } else {
        ChatError::Failed(error.to_string())
    }
}

fn environment(meter: Arc<Meter>, today: Date) -> Environment<'static> {
    let mut env = Environment::new();
    let whitespace = whitespace();
    env.set_trim_blocks(whitespace.trim_blocks);
    env.set_lstrip_blocks(whitespace.lstrip_blocks);
    env.set_keep_trailing_newline(whitespace.keep_trailing_newline);
    env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    env.add_function("strftime_now", move |format: String| strftime(today, &format));
    env.remove_global("debug");
    for unbounded in ["pprint", "format", "batch", "slice"] {
        env.remove_filter(unbounded);
    }
    add_refusal(&mut env, meter.clone());
    add_weights(&mut env, meter.clone());
    add_methods(&mut env, meter);
    env
}

/// Midnight of `today` as Python's `strftime` writes it; directives that nobody knows stay as they are.
fn strftime(today: Date, format: &str) -> String {
    let mut text = String::new();
    let midnight = BrokenDownTime::from(today.at(0, 0, 0, 0));
    let written = midnight.format_with_config(&Config::new().lenient(true), format, &mut text);
    if written.is_ok() { text } else { format.to_owned() }
}

fn add_refusal(env: &mut Environment<'static>, meter: Arc<Meter>) {
    env.add_function("raise_exception", move |reason: String| -> Result<String, Error> {
        meter.refuse(reason.clone());
        Err(Error::new(ErrorKind::InvalidOperation, reason))
    });
}

/// Every place where text is made reports to the meter.
fn add_weights(env: &mut Environment<'static>, meter: Arc<Meter>) {
    let grown = meter.clone();
    env.add_function(GROWN, move |value: Value| grown.weigh(&value).map(|()| value));
    for (name, filter) in filters() {
        let meter = meter.clone();
        env.add_filter(name, move |state: &State, args: Rest<Value>| {
            args.iter().try_for_each(|arg| meter.weigh(arg))?;
            meter.charge(filter_bytes(name, &args))?;
            filter.call(state, &args)
        });
    }
    env.set_formatter(move |out, state, value| {
        meter.weigh(value)?;
        minijinja::escape_formatter(out, state, value)
    });
}

/// The built-in filters that make text; lists and dicts given to them are printed.
fn filters() -> [(&'static str, Value); 14] {
    use minijinja::filters as builtin;
    [
        ("capitalize", Value::from_function(builtin::capitalize)),
        ("e", Value::from_function(builtin::escape)),
        ("escape", Value::from_function(builtin::escape)),
        ("indent", Value::from_function(builtin::indent)),
        ("join", Value::from_function(builtin::join)),
        ("lines", Value::from_function(builtin::lines)),
        ("lower", Value::from_function(builtin::lower)),
        ("replace", Value::from_function(builtin::replace)),
        ("split", Value::from_function(builtin::split)),
        ("string", Value::from_function(builtin::string)),
        ("title", Value::from_function(builtin::title)),
        ("tojson", Value::from_function(json::tojson)),
        ("trim", Value::from_function(builtin::trim)),
        ("upper", Value::from_function(builtin::upper)),
    ]
}

/// An upper bound on what a filter makes beyond a small multiple of its arguments.
fn filter_bytes(name: &str, args: &[Value]) -> u64 {
    let text = |place: usize| args.get(place).and_then(Value::as_str).unwrap_or_default();
    match name {
        "replace" => replaced_bytes(text(0), text(1), text(2)),
        "join" => args.first().map_or(0, items).saturating_mul(text(1).len() as u64),
        "indent" => (text(0).matches('\n').count() as u64 + 1).saturating_mul(widest(args)),
        _ => 0,
    }
}

fn items(value: &Value) -> u64 {
    value.len().or_else(|| value.try_iter().ok().map(Iterator::count)).unwrap_or(0) as u64
}

/// The largest number among the arguments, named ones included.
fn widest(args: &[Value]) -> u64 {
    let named = args.iter().filter(|arg| arg.is_kwargs()).filter_map(|named| named.get_attr("width").ok());
    args.iter().cloned().chain(named).filter_map(|arg| u64::try_from(arg).ok()).max().unwrap_or(4)
}

fn replaced_bytes(text: &str, from: &str, to: &str) -> u64 {
    let (text, from, to) = (text.len() as u64, from.len().max(1) as u64, to.len() as u64);
    text.saturating_add((text / from + 1).saturating_mul(to))
}

/// Python's methods on strings, lists and dicts, minus those that can be made to run for ever.
fn add_methods(env: &mut Environment<'static>, meter: Arc<Meter>) {
    env.set_unknown_method_callback(move |state, value, method, args| {
        meter.charge(value.as_str().map_or(0, |text| text.len() as u64))?;
        let text = |index: usize| args.get(index).and_then(Value::as_str).unwrap_or_default();
        match (method, value.as_str()) {
            ("format", Some(_)) => return Err(Error::from(ErrorKind::UnknownMethod)),
            ("count", Some(own)) if text(0).is_empty() => return Ok(Value::from(own.chars().count() + 1)),
            ("replace", Some(own)) => meter.charge(replaced_bytes(own, text(0), text(1)))?,
            ("join", Some(own)) => {
                let items = args.first().cloned().unwrap_or_default();
                meter.weigh(&items)?;
                meter.charge(self::items(&items).saturating_mul(own.len() as u64))?;
            }
            ("removeprefix", Some(own)) => return Ok(own.strip_prefix(text(0)).unwrap_or(own).into()),
            ("removesuffix", Some(own)) => return Ok(own.strip_suffix(text(0)).unwrap_or(own).into()),
            _ => {}
        }
        minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args)
    });
}
