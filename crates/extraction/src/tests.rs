use super::*;

fn text_of(bytes: &[u8]) -> String {
    extract(bytes, &Options::default()).unwrap().text
}

fn with_extension(bytes: &[u8], extension: &str) -> Result<Extracted, ExtractionError> {
    extract(bytes, &Options { extension: Some(extension), ..Options::default() })
}

#[test]
fn plain_text_is_kept_as_it_is() {
    let extracted = with_extension("Grüße,\n\n  Welt\t!\n".as_bytes(), "TXT").unwrap();
    assert_eq!(extracted.text, "Grüße,\n\n  Welt\t!\n");
    assert_eq!(extracted.content_type, "text/plain; charset=UTF-8");
    assert_eq!(with_extension(b"{}", ".json").unwrap().content_type, "application/json; charset=UTF-8");
    assert_eq!(text_of(b""), "");
}

#[test]
fn charsets_are_found() {
    let utf16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain("Ünï".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    for (bytes, charset, text) in [
        (b"\xef\xbb\xbfabc".as_slice(), "UTF-8", "abc"),
        (&utf16, "UTF-16LE", "Ünï"),
        (b"na\xefve caf\xe9 au lait", "windows-1252", "naïve café au lait"),
    ] {
        let extracted = extract(bytes, &Options::default()).unwrap();
        assert_eq!(extracted.text, text);
        assert_eq!(extracted.content_type, format!("text/plain; charset={charset}"));
    }
    let hinted = Options { content_type: Some("text/plain; charset=\"shift_jis\""), ..Options::default() };
    assert_eq!(extract(b"\x93\xfa\x96\x7b", &hinted).unwrap().text, "日本");
    let page = b"<html><head><meta http-equiv='Content-Type' content='text/html; charset=koi8-r'></head><p>\xed\xc9\xd2";
    assert_eq!(text_of(page), "Мир");
    let document = b"<?xml version='1.0' encoding=\"ISO-8859-2\"?><a>\xb3\xf3d\xbc</a>";
    assert_eq!(text_of(document), "łódź");
}

#[test]
fn binary_data_is_refused_by_its_name() {
    let unsupported = |bytes: &[u8]| match extract(bytes, &Options::default()) {
        Err(ExtractionError::Unsupported { content_type }) => content_type,
        other => panic!("{other:?}"),
    };
    assert_eq!(unsupported(b"%PDF-1.7\n"), "application/pdf");
    assert_eq!(unsupported(b"{\\rtf1\\ansi hello}"), "application/rtf");
    assert_eq!(
        unsupported(b"PK\x03\x04\x14\0\0\0word/document.xml"),
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    );
    assert_eq!(unsupported(b"PK\x03\x04\x14\0\0\0a.txt"), "application/zip");
    assert_eq!(unsupported(b"abc\0def"), "application/octet-stream");
    let noise: Vec<u8> = (0..2000_u32).map(|n| u8::try_from(n * 7919 % 251).unwrap() | 0x80).collect();
    assert_eq!(unsupported(&noise), "application/octet-stream");
}

#[test]
fn is_text_looks_at_bytes_only() {
    assert_eq!(is_text(b""), Some(""));
    assert_eq!(is_text("\u{feff}día\r\n\t\x1b[1m\x0c".as_bytes()), Some("día\r\n\t\x1b[1m\x0c"));
    assert_eq!(is_text(b"a\0b"), None);
    assert_eq!(is_text(b"\xff\xfea\0"), None);
    assert_eq!(is_text(b"caf\xe9"), None);
}

#[test]
fn pages_become_lines() {
    let page = r#"<!DOCTYPE html>
        <html><head><title> A &amp; B
          page </title><meta name="Author" content="Ann"><meta name=keywords content="a, b">
          <meta name="description" content="d"><style>p { color: red }</style></head>
        <body><h1>Head</h1><p>First <b>bo</b>ld&nbsp;word<br>line<div>Block</div>
        <script>var x = "<p>no</p>";</script><noscript><p>no</p></noscript>
        <template><p>no<template>no</template>no</p></template>
        <ul><li>One<li>Two</ul><table><tr><td>a<td>b<tr><th>c</th><th>d</th></table>
        <pre>  two
    lines</pre>&lt;end&gt; &#x263A;<!-- no --></body></html>"#;
    let extracted = extract(page.as_bytes(), &Options::default()).unwrap();
    assert_eq!(extracted.title.as_deref(), Some("A & B page"));
    assert_eq!(extracted.author.as_deref(), Some("Ann"));
    assert_eq!(extracted.keywords.as_deref(), Some("a, b"));
    assert_eq!(extracted.description.as_deref(), Some("d"));
    assert_eq!(extracted.content_type, "text/html; charset=UTF-8");
    assert_eq!(
        extracted.text,
        "Head\nFirst bold word\nline\nBlock\nOne\nTwo\na\tb\nc\td\n  two\n    lines\n<end> ☺"
    );
}

#[test]
fn fragments_need_a_hint_and_whole_pages_none() {
    assert_eq!(text_of(b"<p>One<p>Two"), "<p>One<p>Two");
    assert_eq!(with_extension(b"<p>One<p>Two", "html").unwrap().text, "One\nTwo");
    let typed = Options { content_type: Some("text/html; charset=utf-8"), ..Options::default() };
    assert_eq!(extract(b"<p>One<p>Two", &typed).unwrap().text, "One\nTwo");
    assert_eq!(text_of(b"<!-- c -->\n<HTML><BODY>x"), "x");
    let xhtml = b"<?xml version=\"1.0\"?><!DOCTYPE html><html><body>&nbsp;x&eacute;<br/>y</body></html>";
    let extracted = extract(xhtml, &Options::default()).unwrap();
    assert_eq!(
        (extracted.text.as_str(), extracted.content_type.as_str()),
        ("xé\ny", "application/xhtml+xml; charset=UTF-8")
    );
}

#[test]
fn titles_of_pictures_are_not_the_page_title() {
    let page = b"<html><body><svg><title>icon</title></svg>text";
    assert_eq!(extract(page, &Options::default()).unwrap().title, None);
}

#[test]
fn xml_gives_its_text_nodes() {
    let document = br#"<?xml version="1.0"?><!-- no --><r a="no"><x>one</x><y>two &lt;&#65;&gt; <b>3</b></y>
        <![CDATA[<raw> & more]]><?pi no?></r>"#;
    let extracted = extract(document, &Options::default()).unwrap();
    assert_eq!(extracted.text, "one two <A> 3\n<raw> & more");
    assert_eq!(extracted.content_type, "application/xml");
    let feed = b"<?xml version='1.0'?><rss><channel><title>t</title></channel></rss>";
    assert_eq!(extract(feed, &Options::default()).unwrap().content_type, "application/rss+xml");
}

#[test]
fn xml_that_attacks_or_breaks_is_refused() {
    let reason = |document: &str| match with_extension(document.as_bytes(), "xml") {
        Err(ExtractionError::Malformed { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    let bomb = r#"<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><l>&b;</l>"#;
    assert!(reason(bomb).contains("&b; is not expanded"));
    let external = r#"<?xml version="1.0"?><!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/passwd">]><l>&x;</l>"#;
    assert!(reason(external).contains("&x; is not expanded"));
    assert!(reason(&"<a>".repeat(2000)).contains("deeper than 1000"));
    assert!(reason("<a><b>x</a>").contains("expected"));
    assert!(reason("<a>x").contains("inside an element"));
    assert!(reason("<?xml version='1.0'?>").contains("no element"));
}

#[test]
fn deep_pages_are_read_without_recursion() {
    let page = format!("<html>{}deep", "<div>".repeat(500_000));
    assert_eq!(text_of(page.as_bytes()), "deep");
}

#[test]
fn text_ends_where_the_caller_says() {
    let limited = |bytes: &[u8], max| {
        let extracted = extract(bytes, &Options { max_characters: Some(max), ..Options::default() }).unwrap();
        (extracted.text, extracted.truncated)
    };
    assert_eq!(limited("äöü".as_bytes(), 2), ("äö".to_owned(), true));
    assert_eq!(limited("äöü".as_bytes(), 3), ("äöü".to_owned(), false));
    assert_eq!(limited(b"<html><p>ab<p>cd", 3), ("ab".to_owned(), true));
    assert_eq!(limited(b"<html><p>ab<p>cd", 4), ("ab\nc".to_owned(), true));
    assert_eq!(limited(b"<html><p>ab<p>cd", 5), ("ab\ncd".to_owned(), false));
    assert_eq!(limited(b"<?xml version='1.0'?><a>abc<b>d</b></a>", 2), ("ab".to_owned(), true));
}

#[test]
fn files_past_the_limit_are_not_read() {
    let huge = vec![b' '; MAX_INPUT_BYTES + 1];
    assert_eq!(
        extract(&huge, &Options::default()),
        Err(ExtractionError::TooLarge { bytes: MAX_INPUT_BYTES + 1 })
    );
}

/// Numbers that are the same in each run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit as u64).unwrap()
    }
}

#[test]
fn no_file_makes_it_panic_or_exceed_the_limit() {
    const PIECES: [&[u8]; 34] = [
        b"<html>",
        b"<p>",
        b"</p>",
        b"<script>",
        b"</script>",
        b"<title>",
        b"</title>",
        b"<svg",
        b"/>",
        b">",
        b"<!--",
        b"-->",
        b"<?xml version='1.0' encoding='utf-16'?>",
        b"<?xml version=\"1.0\"?>",
        b"<a b='c'>",
        b"</a>",
        b"<![CDATA[",
        b"]]>",
        b"&amp;",
        b"&#x110000;",
        b"&#0;",
        b"&bogus;",
        b"<!DOCTYPE a [<!ENTITY b 'c'>]>",
        b"<meta charset=shift_jis>",
        b"<pre>",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xe9",
        b"\xf0\x9f\x98\x80",
        b" \n\t",
        b"text",
        b"<textarea>",
        b"<template>",
        b"\x00",
    ];
    let mut numbers = Numbers(7);
    for round in 0..5_000 {
        let mut file = Vec::new();
        for _ in 0..numbers.below(12) {
            file.extend_from_slice(PIECES[numbers.below(PIECES.len())]);
        }
        let limit = numbers.below(20);
        let extension = [None, Some("html"), Some("xml"), Some("txt")][numbers.below(4)];
        let content_type = [None, Some("text/html; charset=utf-16"), Some("image/svg+xml")][numbers.below(3)];
        let options = Options { extension, content_type, max_characters: Some(limit) };
        if let Ok(extracted) = extract(&file, &options) {
            assert!(extracted.text.chars().count() <= limit, "round {round}: {file:?}");
        }
        let _ = is_text(&file);
    }
}
