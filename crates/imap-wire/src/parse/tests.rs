//! Commands read and refused, command by command.

use crate::command::*;
use crate::cursor::Fault;
use crate::types::*;
use crate::{AppendHead, Tagged};
use proptest::prelude::*;

fn read(line: &str) -> Command {
    let bytes = format!("a1 {line}");
    match Tagged::parse(bytes.as_bytes(), false) {
        Ok(tagged) => {
            assert_eq!(tagged.tag.as_str(), "a1");
            tagged.command
        }
        Err(error) => panic!("{line}: {error}"),
    }
}

fn fault(line: &str) -> Fault {
    match Tagged::parse(format!("a1 {line}").as_bytes(), false) {
        Ok(tagged) => panic!("{line}: {:?}", tagged.command),
        Err(error) => {
            assert_eq!(error.tag.unwrap().as_str(), "a1");
            error.fault
        }
    }
}

fn items(line: &str) -> Vec<FetchItem> {
    match read(line) {
        Command::Fetch { request, .. } => request.items,
        other => panic!("{other:?}"),
    }
}

fn keys(line: &str) -> Vec<SearchKey> {
    match read(line) {
        Command::Search { request, .. } => request.keys,
        other => panic!("{other:?}"),
    }
}

#[test]
fn commands_without_arguments() {
    for line in [
        "CAPABILITY",
        "noop",
        "Logout",
        "NAMESPACE",
        "IDLE",
        "CHECK",
        "CLOSE",
        "UNSELECT",
        "EXPUNGE",
        "STARTTLS",
    ] {
        assert_eq!(read(line).name(), line.to_ascii_lowercase());
        assert!(matches!(fault(&format!("{line} x")), Fault::Expected(_)));
    }
}

#[test]
fn unknown_commands_are_told_from_bad_arguments() {
    assert_eq!(fault("XYZZY"), Fault::UnknownCommand);
    assert_eq!(fault("XYZZY 1"), Fault::UnknownCommand);
    assert_eq!(fault("UID XYZZY 1"), Fault::UnknownCommand);
    assert_eq!(fault("SELECT"), Fault::Expected("a space"));
    assert!(Tagged::parse(b"", false).unwrap_err().tag.is_none());
    assert!(Tagged::parse(b"+ NOOP", false).unwrap_err().tag.is_none());
}

#[test]
fn login_takes_atoms_quotes_and_literals() {
    for line in ["LOGIN dana pw]1", "LOGIN \"dana\" \"pw]1\"", "LOGIN {4}\r\ndana {4+}\r\npw]1"] {
        let Command::Login { user, password } = read(line) else { panic!() };
        assert_eq!((user.as_str(), password.expose().as_str()), ("dana", "pw]1"));
    }
    let Command::Login { password, .. } = read("LOGIN a \"q\\\"b\\\\\"") else { panic!() };
    assert_eq!(password.expose(), "q\"b\\");
    for line in ["LOGIN a", "LOGIN a b c", "LOGIN a \"x", "LOGIN a \"\\x\"", "LOGIN a {9}\r\nx"] {
        fault(line);
    }
    assert!(!format!("{:?}", read("LOGIN a hunter2")).contains("hunter2"));
}

#[test]
fn authenticate_takes_an_initial_response() {
    let Command::Authenticate { mechanism, initial } = read("AUTHENTICATE plain AGEAYg==") else {
        panic!()
    };
    assert_eq!(
        (mechanism.as_str(), initial.unwrap().expose().as_slice()),
        ("PLAIN", &b"AGEAYg=="[..])
    );
    assert!(matches!(read("AUTHENTICATE LOGIN"), Command::Authenticate { initial: None, .. }));
}

#[test]
fn mailbox_names_are_decoded_and_checked() {
    let Command::Select(name, _) = read("SELECT inbox") else { panic!() };
    assert_eq!(name.as_str(), "INBOX");
    let Command::Rename { to, .. } = read("RENAME a \"Entw&APw-rfe\"") else { panic!() };
    assert_eq!(to.as_str(), "Entwürfe");
    for line in
        ["SELECT \"a&b\"", "SELECT {2}\r\n\u{1}a", "DELETE \"\u{7f}\"", "SELECT a(", "SELECT %"]
    {
        fault(line);
    }
    let utf8 = Tagged::parse("a SELECT \"Entwürfe & mehr\"".as_bytes(), true).unwrap();
    assert!(matches!(utf8.command, Command::Select(name, _) if name.as_str() == "Entwürfe & mehr"));
}

#[test]
fn select_options() {
    let Command::Select(_, options) = read("SELECT a (CONDSTORE)") else { panic!() };
    assert!(options.condstore && options.resync.is_none());
    let line = "EXAMINE a (QRESYNC (67890007 20050715194045000 41,43:211 (1:2 3:4)))";
    let Command::Examine(_, SelectOptions { resync: Some(resync), .. }) = read(line) else {
        panic!()
    };
    assert_eq!((resync.uid_validity.get(), resync.mod_seq), (67_890_007, 20_050_715_194_045_000));
    assert_eq!(resync.known.unwrap().resolve(0), [(41, 41), (43, 211)]);
    read("SELECT a (QRESYNC (1 1))");
    read("SELECT a (QRESYNC (1 1 (1 1)))");
    fault("SELECT a (QRESYNC (0 1))");
    fault("SELECT a ()");
}

#[test]
fn fetch_items() {
    assert_eq!(items("FETCH 1 FAST").len(), 3);
    assert_eq!(items("FETCH 1 full").len(), 5);
    let section = |section, peek| FetchItem::Section { peek, section, partial: None };
    assert_eq!(items("FETCH 1 BODY[]"), [section(Section::Whole, false)]);
    assert_eq!(
        items("FETCH 1 BODY.PEEK[TEXT]"),
        [section(Section::Message(MessageText::Text), true)]
    );
    let one = std::num::NonZeroU32::MIN;
    assert_eq!(
        items("FETCH 1 (UID BODY[1.1.MIME] BODY[1])"),
        [
            FetchItem::Uid,
            section(Section::Part(vec![one, one], SectionPart::Mime), false),
            section(Section::Part(vec![one], SectionPart::Body), false),
        ]
    );
    let [FetchItem::Section { section, partial, .. }] =
        &items("FETCH 1 BODY[1.HEADER.FIELDS (From \"To\")]<0.2048>")[..]
    else {
        panic!()
    };
    let Section::Part(_, SectionPart::Message(MessageText::HeaderFields(names))) = section else {
        panic!()
    };
    assert_eq!(names.len(), 2);
    assert_eq!(partial.unwrap().of(5000), 0..2048);
    for line in [
        "FETCH 1 BODY[MIME]",
        "FETCH 1 BODY[1.]",
        "FETCH 1 BODY[0]",
        "FETCH 1 BODY[TEXT.1]",
        "FETCH 1 ()",
        "FETCH 1 BODY[HEADER.FIELDS ()]",
        "FETCH 1 BODY[]<0.0>",
        "FETCH 1 BODY.PEEK",
        "FETCH 1 (ALL)",
        "FETCH 1 BODY[HEADER.FIELDS (a:b)]",
        "FETCH 1 FLAGS (VANISHED)",
        "FETCH 0 FLAGS",
    ] {
        fault(line);
    }
    assert_eq!(fault(&format!("FETCH 1 BODY[1{}]", ".1".repeat(500))), Fault::TooDeep);
}

#[test]
fn fetch_modifiers() {
    let Command::Fetch { uid: true, request, .. } =
        read("UID FETCH 1:* FLAGS (CHANGEDSINCE 5 VANISHED)")
    else {
        panic!()
    };
    assert_eq!((request.changed_since, request.vanished), (Some(5), true));
}

#[test]
fn store_forms() {
    for (line, mode, silent, flags) in [
        ("STORE 1 FLAGS (\\Seen $Junk)", StoreMode::Replace, false, 2),
        ("STORE 1 +FLAGS.SILENT \\Deleted", StoreMode::Add, true, 1),
        ("STORE 1 -FLAGS \\Seen \\Flagged", StoreMode::Remove, false, 2),
        ("STORE 1 FLAGS ()", StoreMode::Replace, false, 0),
        ("STORE 1 +FLAGS (\\Recent \\X)", StoreMode::Add, false, 0),
    ] {
        let Command::Store { request, .. } = read(line) else { panic!() };
        assert_eq!(
            (request.mode, request.silent, request.flags.len()),
            (mode, silent, flags),
            "{line}"
        );
    }
    let Command::Store { request, .. } = read("UID STORE 1 (UNCHANGEDSINCE 12) +FLAGS (a)") else {
        panic!()
    };
    assert_eq!(request.unchanged_since, Some(12));
    fault("STORE 1 FLAGS");
    fault("STORE 1 FLAGS (\\)");
    fault("STORE 1 FLAGS (a[b)]");
}

#[test]
fn search_keys() {
    assert_eq!(keys("SEARCH UNSEEN 1:3").len(), 2);
    assert_eq!(
        keys("SEARCH OR FROM \"Ana\" NOT SUBJECT x"),
        [SearchKey::Or(
            Box::new(SearchKey::Header("from".into(), "ana".into())),
            Box::new(SearchKey::Header("subject".into(), "x".into()).negate()),
        )]
    );
    assert_eq!(
        keys("UID SEARCH CHARSET UTF-8 TEXT {4}\r\nGR\u{dc}"),
        [SearchKey::Text("grü".into())]
    );
    assert_eq!(keys("SEARCH (SEEN (DELETED 5)) ALL").len(), 2);
    assert_eq!(
        keys("SEARCH MODSEQ \"/flags/\\\\draft\" all 620162338"),
        [SearchKey::ModSeq(620_162_338)]
    );
    assert_eq!(
        keys("SEARCH HEADER X-Lab \"\""),
        [SearchKey::Header("x-lab".into(), String::new())]
    );
    let Command::Search { request, .. } = read("SEARCH RETURN (MIN COUNT) ALL") else { panic!() };
    assert_eq!(request.returns, Some(vec![SearchReturn::Min, SearchReturn::Count]));
    let Command::Search { request, .. } = read("SEARCH RETURN () ALL") else { panic!() };
    assert_eq!(request.returns, Some(vec![]));
    assert_eq!(fault("SEARCH CHARSET KOI8-R ALL"), Fault::BadCharset);
    assert_eq!(fault(&format!("SEARCH {}ALL", "NOT ".repeat(1000))), Fault::TooDeep);
    assert_eq!(fault(&format!("SEARCH {}ALL", "(".repeat(1000))), Fault::TooDeep);
    assert_eq!(fault(&format!("SEARCH{}", " ALL".repeat(1000))), Fault::TooMany);
    assert_eq!(fault(&format!("FETCH 1 (UID{})", " UID".repeat(1000))), Fault::TooMany);
    assert_eq!(fault(&format!("LIST \"\" (*{})", " *".repeat(100))), Fault::TooMany);
    for line in ["SEARCH", "SEARCH ()", "SEARCH FROM", "SEARCH OR ALL", "SEARCH ON 31-Feb-2020"] {
        fault(line);
    }
}

#[test]
fn list_forms() {
    let list = |line: &str| match read(line) {
        Command::List(request) => request,
        other => panic!("{other:?}"),
    };
    let plain = list("LIST \"\" *");
    assert!(!plain.extended && plain.patterns[0].matches(&plain.reference, "x/y"));
    assert_eq!(list("LIST \"\" \"\"").patterns[0].as_str(), "");
    let rich =
        list("LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (a b%) RETURN (CHILDREN STATUS (MESSAGES))");
    assert_eq!((rich.select.len(), rich.patterns.len(), rich.returns.len()), (2, 2, 2));
    assert!(rich.extended);
    assert_eq!(list("LIST () \"\" % RETURN ()").returns, []);
    fault("LIST (RECURSIVEMATCH) \"\" *");
    fault("LIST \"\"");
    read("LSUB \"\" \"*\"");
}

#[test]
fn everything_else() {
    read("ID NIL");
    read("ID (\"name\" \"x\" \"os\" NIL)");
    read("ID ()");
    let Command::Enable(wanted) = read("ENABLE condstore X-GOOD-IDEA") else { panic!() };
    assert_eq!(wanted, [Capability::CondStore, Capability::Other]);
    read("STATUS a (MESSAGES UIDNEXT HIGHESTMODSEQ SIZE)");
    fault("STATUS a ()");
    let Command::Create(_, uses) = read("CREATE a (USE (\\Sent \\Memos))") else { panic!() };
    assert_eq!(uses, [Some(SpecialUse::Sent), None]);
    assert!(matches!(read("UID EXPUNGE 3,5"), Command::Expunge(Some(_))));
    assert!(matches!(read("UID MOVE 1 b"), Command::Move { uid: true, .. }));
    assert!(matches!(read("COPY $ b"), Command::Copy { set: SequenceSet::Saved, .. }));
    fault("APPEND INBOX x");
}

#[test]
fn append_heads() {
    let read = |text: &str| AppendHead::parse(text.as_bytes(), false);
    let head = read("a APPEND inbox (\\Seen x) \"17-Jul-1996 02:44:25 -0700\" ").unwrap();
    assert_eq!((head.mailbox.as_str(), head.flags.len()), ("INBOX", 2));
    assert_eq!(head.date.unwrap().unix(), 837_596_665);
    assert!(read("a APPEND {5+}\r\nInbox ").unwrap().date.is_none());
    for bad in ["a APPEND inbox", "a APPEND inbox UTF8 (", "a APPEND inbox  ", "a NOOP "] {
        assert!(read(bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), utf8: bool) {
        let _ = Tagged::parse(&bytes, utf8);
        let _ = AppendHead::parse(&bytes, utf8);
    }

    #[test]
    fn nothing_that_looks_like_imap_panics(
        words in proptest::collection::vec(
            prop_oneof![
                "[A-Z]{2,9}", "[()\\[\\]{}<>$*%,:]{1,3}", "[0-9:,*]{1,6}", "\\PC{0,4}",
                Just("UID FETCH".to_owned()), Just("SEARCH".to_owned()), Just("BODY[".to_owned()),
                Just("{3}\r\n".to_owned()), Just("\"".to_owned()), Just("NOT".to_owned()),
            ],
            0..12,
        ),
    ) {
        let _ = Tagged::parse(format!("a {}", words.join(" ")).as_bytes(), false);
    }
}
