//! HTML: the text a reader sees.

use html5gum::emitters::default::DefaultEmitter;
use html5gum::{HtmlString, StartTag, Token, Tokenizer};

use crate::Extracted;
use crate::flow::Flow;

/// Elements that start and end a line.
const BLOCKS: &[&[u8]] = &[
    b"address",
    b"article",
    b"aside",
    b"blockquote",
    b"body",
    b"br",
    b"caption",
    b"center",
    b"dd",
    b"details",
    b"dialog",
    b"dir",
    b"div",
    b"dl",
    b"dt",
    b"fieldset",
    b"figcaption",
    b"figure",
    b"footer",
    b"form",
    b"frameset",
    b"h1",
    b"h2",
    b"h3",
    b"h4",
    b"h5",
    b"h6",
    b"header",
    b"hgroup",
    b"hr",
    b"legend",
    b"li",
    b"main",
    b"menu",
    b"nav",
    b"ol",
    b"optgroup",
    b"option",
    b"p",
    b"pre",
    b"section",
    b"summary",
    b"table",
    b"tbody",
    b"tfoot",
    b"thead",
    b"tr",
    b"ul",
];

/// Elements whose content is not text for readers.
const DROPPED: &[&[u8]] = &[
    b"script",
    b"style",
    b"template",
    b"noscript",
    b"iframe",
    b"noembed",
    b"noframes",
    b"object",
    b"canvas",
];

/// Tokens are flat, so nothing here recurses and no document can exhaust the stack.
pub(crate) fn extract(page: &str, max_characters: Option<usize>) -> Extracted {
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let mut state = State {
        extracted: Extracted::default(),
        flow: Flow::new(max_characters),
        dropped: None,
        title: None,
        pre: 0,
        svg: 0,
    };
    for token in Tokenizer::new_with_emitter(page, emitter) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => state.start(&tag),
            Token::EndTag(tag) => state.end(&tag.name),
            Token::String(text) => state.text(&String::from_utf8_lossy(&text)),
            Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
        }
        if state.flow.is_full() {
            break;
        }
    }
    let (text, truncated) = state.flow.finish();
    Extracted { text, truncated, ..state.extracted }
}

struct State {
    extracted: Extracted,
    flow: Flow,
    /// The dropped element we are in, and how many of that name are open.
    dropped: Option<(Vec<u8>, usize)>,
    /// The title being read.
    title: Option<Flow>,
    pre: usize,
    svg: usize,
}

/// Longest title kept, in characters.
const MAX_TITLE: usize = 10_000;

impl State {
    fn start(&mut self, tag: &StartTag<()>) {
        let name = tag.name.as_slice();
        if let Some((dropped, depth)) = &mut self.dropped {
            if dropped.as_slice() == name {
                *depth += 1;
            }
            return;
        }
        match name {
            b"title" if self.svg == 0 && self.extracted.title.is_none() => {
                self.title = Some(Flow::new(Some(MAX_TITLE)));
            }
            b"meta" => self.meta(tag),
            b"svg" if !tag.self_closing => self.svg += 1,
            b"pre" | b"textarea" => {
                self.flow.line();
                self.pre += 1;
            }
            b"td" | b"th" => self.flow.cell(),
            name if DROPPED.contains(&name) && !tag.self_closing => self.dropped = Some((name.to_vec(), 1)),
            name if BLOCKS.contains(&name) => self.flow.line(),
            _ => {}
        }
    }

    fn end(&mut self, name: &HtmlString) {
        let name = name.as_slice();
        if let Some((dropped, depth)) = &mut self.dropped {
            if dropped.as_slice() == name {
                *depth -= 1;
                if *depth == 0 {
                    self.dropped = None;
                }
            }
            return;
        }
        match name {
            b"title" => {
                if let Some(title) = self.title.take() {
                    let (title, _) = title.finish();
                    self.extracted.title = (!title.is_empty()).then_some(title);
                }
            }
            b"svg" => self.svg = self.svg.saturating_sub(1),
            b"pre" | b"textarea" => {
                self.pre = self.pre.saturating_sub(1);
                self.flow.line();
            }
            name if BLOCKS.contains(&name) => self.flow.line(),
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        if self.dropped.is_some() {
            return;
        }
        match &mut self.title {
            Some(title) => title.collapsed(text),
            None if self.pre > 0 => self.flow.verbatim(text),
            None => self.flow.collapsed(text),
        }
    }

    fn meta(&mut self, tag: &StartTag<()>) {
        let attribute = |name: &[u8]| {
            tag.attributes.get(name).map(|value| String::from_utf8_lossy(&value.value).trim().to_owned())
        };
        let (Some(name), Some(content)) = (attribute(b"name"), attribute(b"content")) else { return };
        let target = match name.to_ascii_lowercase().as_str() {
            "author" => &mut self.extracted.author,
            "keywords" => &mut self.extracted.keywords,
            "description" => &mut self.extracted.description,
            _ => return,
        };
        if target.is_none() && !content.is_empty() {
            *target = Some(content);
        }
    }
}
