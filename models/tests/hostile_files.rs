//! Model folders and files that somebody made to hurt: each is refused in one line, soon, and without much memory.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::Device;
use isocost_models::bundled;
use isocost_models::chat::{ChatTemplate, Message, RenderOptions};
use isocost_models::checkpoint::Checkpoint;
use isocost_models::gguf::Header;
use isocost_models::source::Source;
use isocost_models::tokenizer::Tokenizer;
use isocost_models::weights::Weights;
use serde_json::{Value, json};

/// A copy of a bundled model that can be spoilt.
fn copied_model() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(bundled::folder("bundled:reason-s").unwrap()).unwrap().flatten() {
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    folder
}

fn safetensors(header: &str, length: u64, data: usize) -> Vec<u8> {
    [&length.to_le_bytes(), header.as_bytes(), &vec![0; data]].concat()
}

#[test]
fn safetensors_whose_offsets_lie_are_refused() {
    let one = |start: &str, end: &str| {
        format!(r#"{{"a":{{"dtype":"F32","shape":[2],"data_offsets":[{start},{end}]}}}}"#)
    };
    let two = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#;
    let huge = r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,8]}}"#;
    let whole = |header: &str, data| safetensors(header, header.len() as u64, data);
    let deep = format!("{{\"a\":{}", "[".repeat(200_000));
    for (case, bytes) in [
        ("a header of 2^63 bytes", safetensors("{}", 1 << 63, 8)),
        ("a header of all bits", safetensors("{}", u64::MAX, 8)),
        ("a header of 1 TB", safetensors("{}", 1 << 40, 8)),
        ("negative offsets", whole(&one("-8", "0"), 8)),
        ("offsets beyond the file", whole(&one("0", "8"), 4)),
        ("offsets of 2^64", whole(&one("0", "18446744073709551616"), 8)),
        ("offsets that wrap around", whole(&one("18446744073709551608", "0"), 8)),
        ("an end before the beginning", whole(&one("8", "0"), 8)),
        ("overlapping tensors", whole(two, 12)),
        ("a shape that overflows", whole(huge, 8)),
        ("no header at all", vec![0; 4]),
        ("nesting without end", whole(&deep, 8)),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
        let opened = Weights::open(folder.path(), None, &Device::Cpu);
        let message = opened.err().unwrap_or_else(|| panic!("{case} is accepted")).to_string();
        assert!(message.contains("model.safetensors") && message.lines().count() == 1, "{case}: {message}");
    }
}

/// A GGUF file with tensors of eight numbers at these offsets, and a list of so many claimed bytes.
fn gguf(offsets: &[u64], list: u64) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let mut file =
        [&b"GGUF"[..], &3u32.to_le_bytes(), &(offsets.len() as u64).to_le_bytes(), &1u64.to_le_bytes()]
            .concat();
    file.extend(
        [text("list"), 9u32.to_le_bytes().into(), 0u32.to_le_bytes().into(), list.to_le_bytes().into()]
            .concat(),
    );
    file.extend(vec![0; list.min(1 << 24) as usize]);
    for (number, offset) in offsets.iter().enumerate() {
        let name = text(&format!("blk.{number}.attn_norm.weight"));
        let rest = [
            1u32.to_le_bytes().to_vec(),
            8u64.to_le_bytes().into(),
            0u32.to_le_bytes().into(),
            offset.to_le_bytes().into(),
        ];
        file.extend([name, rest.concat()].concat());
    }
    file.resize(file.len() + 128, 0);
    file
}

#[test]
fn gguf_tensors_that_share_bytes_and_lists_without_end_are_refused() {
    assert!(Header::read(&gguf(&[0, 32, 64], 4)[..]).is_ok());
    for (offsets, list, expected) in [
        (&[0u64, 0][..], 4, "two tensors in one place"),
        (&[0, 16], 4, "two tensors in one place"),
        (&[0], 1 << 24, "more values than any model has"),
        (&[0], 1 << 63, "a length exceeds the header"),
    ] {
        let message = Header::read(&gguf(offsets, list)[..]).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("far.gguf");
    std::fs::write(&path, gguf(&[u64::MAX - 7], 4)).unwrap();
    let header = Arc::new(Header::open(&path).unwrap());
    let weights = Weights::open_gguf(&path, header, None, &Device::Cpu).unwrap();
    let message = weights.tensor("model.layers.0.input_layernorm.weight", &[8]).unwrap_err().to_string();
    assert!(message.contains("outside the file"), "{message}");
}

/// The bundled tokenizer with one of its parts replaced.
fn tokenizer_with(part: &str, value: Value) -> Result<Tokenizer, String> {
    let folder = copied_model();
    let path = folder.path().join("tokenizer.json");
    let mut file: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    file[part] = value;
    std::fs::write(&path, file.to_string()).unwrap();
    Tokenizer::from_folder(folder.path()).map_err(|error| error.to_string())
}

#[test]
fn tokenizers_that_explode_are_refused_before_they_are_built() {
    let double = json!({ "type": "Replace", "pattern": { "String": "a" }, "content": "aa" });
    for (part, list) in [("normalizer", "normalizers"), ("decoder", "decoders")] {
        let chain = json!({ "type": "Sequence", list: vec![double.clone(); 40] });
        let message = tokenizer_with(part, chain).unwrap_err();
        assert!(message.contains("hundreds of times longer") && message.lines().count() == 1, "{message}");
    }
    let folder = copied_model();
    let file = std::fs::File::create(folder.path().join("tokenizer.json")).unwrap();
    file.set_len(1 << 40).unwrap();
    let message = Tokenizer::from_folder(folder.path()).unwrap_err().to_string();
    assert!(message.contains("1099511627776 bytes"), "{message}");
}

#[test]
fn a_tokenizer_whose_expression_backtracks_for_ever_is_given_up() {
    let pattern = json!({ "Regex": "(?=(a+)+$)(a|aa)+$|(a*)*b" });
    let split = json!({ "type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": false });
    let begun = Instant::now();
    if let Ok(tokenizer) = tokenizer_with("pre_tokenizer", split) {
        let text = "a".repeat(3_000) + "!";
        let said = tokenizer.encode_user(&text).map_err(|error| error.to_string());
        assert!(said.is_ok() || said.as_ref().is_err_and(|said| said.lines().count() == 1), "{said:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(90));
}

#[test]
fn a_token_that_is_a_book_is_refused_with_its_model() {
    let folder = copied_model();
    let path = folder.path().join("tokenizer.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut file: Value = serde_json::from_str(&text).unwrap();
    let vocabulary = file["model"]["vocab"].as_object_mut().unwrap();
    let (name, id) = vocabulary
        .iter()
        .find(|(name, _)| name.as_str() == "7")
        .map(|(n, i)| (n.clone(), i.clone()))
        .unwrap();
    vocabulary.remove(&name);
    vocabulary.insert("7".repeat(1 << 20), id);
    std::fs::write(&path, file.to_string()).unwrap();
    let opened = Checkpoint::open(&Source::at(folder.path()), None, &Device::Cpu);
    let message = opened.err().expect("it is accepted").to_string();
    assert!(message.contains("a token of 1048576 bytes"), "{message}");
}

#[test]
fn a_model_folder_is_read_for_nothing_that_lies_outside_of_it() {
    let folder = copied_model();
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "{\"secret\": \"planted\"}").unwrap();
    let resolve =
        || Source::resolve(folder.path().to_str().unwrap(), &|_| {}).map_err(|error| error.to_string());
    assert!(resolve().is_ok());
    for file in ["config.json", "tokenizer_config.json", "card.toml", "chat_template.jinja", "unused.txt"] {
        let path = folder.path().join(file);
        let own = std::fs::read(&path).ok();
        let _ = std::fs::remove_file(&path);
        link(secret.path(), &path);
        let message = resolve().unwrap_err();
        assert!(
            message.contains(file) && message.contains("leads out") && !message.contains("planted"),
            "{message}"
        );
        std::fs::remove_file(&path).unwrap();
        own.into_iter().for_each(|own| std::fs::write(&path, own).unwrap());
    }
    assert!(resolve().is_ok());
}

#[cfg(unix)]
fn link(target: &Path, path: &Path) {
    std::os::unix::fs::symlink(target, path).unwrap();
}

#[cfg(not(unix))]
fn link(_: &Path, _: &Path) {}

#[test]
fn templates_that_ask_for_everything_get_an_error() {
    for template in [
        "{{ 'x' * 10**9 }}",
        "{{ ['x'] * 10**9 }}",
        "{{ range(10**12)|list|length }}",
        "{% for i in range(10**6) %}{% for j in range(10**6) %}{% for k in range(10**6) %}{% endfor %}{% endfor %}{% endfor %}",
        "{% set n = namespace(x='ab') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x|length }}",
        "{% macro m(n) %}{{ m(n ~ n) }}{% endmacro %}{{ m('ab') }}",
        "{% set x = ('a' * 10**6) %}{{ x.replace('a', x) }}",
        "{{ '%0999999999d' % 1 }}",
        "{{ '{:>999999999}'.format('x') }}",
        "{{ 'x'.center(10**9) }}",
        "{{ 'x'.ljust(10**9) }}",
        "{{ 'x'.zfill(10**9) }}",
        "{{ '\\t'.expandtabs(10**9) }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.__class__.__init__.__globals__ }}",
        "{% include '/etc/passwd' %}",
        "{% import '/etc/passwd' as p %}{{ p }}",
        "{% extends '/etc/passwd' %}",
    ] {
        let begun = Instant::now();
        let text = ChatTemplate::new(template)
            .and_then(|made| made.render(&[Message::user("hello")], &RenderOptions::default()));
        assert!(begun.elapsed() < Duration::from_secs(20), "{template}: {:?}", begun.elapsed());
        match text {
            Err(error) => assert!(error.to_string().lines().count() == 1, "{template}: {error}"),
            Ok(text) => {
                assert!(text.len() < 1 << 20 && !text.contains("root:"), "{template}: {} bytes", text.len())
            }
        }
    }
}

#[test]
fn what_a_template_adds_is_absent_where_there_is_none() {
    let folder = copied_model();
    let extra = |path: &Path| {
        let checkpoint = Checkpoint::open(&Source::at(path), None, &Device::Cpu).unwrap();
        checkpoint.conversation.direct_extra_tokens()
    };
    assert!(extra(folder.path()).is_some());
    let path = folder.path().join("tokenizer_config.json");
    let mut file: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert!(file.as_object_mut().unwrap().remove("chat_template").is_some());
    std::fs::write(&path, file.to_string()).unwrap();
    assert_eq!(extra(folder.path()), None);
}
