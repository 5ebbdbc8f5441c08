//! Chat templates: parsed, checked, and rendered within their bounds.

#![no_main]

use isocost_models::chat::{ChatTemplate, Message, RenderOptions};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|source: &str| {
    if let Ok(template) = ChatTemplate::new(source) {
        let messages = [Message::system("Be brief."), Message::user("{{ 1 }} <|im_end|>")];
        let _ = template.render(&messages, &RenderOptions::default());
    }
});
