//! Signed records and statements: fields, keys, signed bytes, signatures.

use cbdc_ledger::command::{
    BankConsent, CertifiedFor, ConsentStatement, DesignateWallet, Domain, FLAG_REVERSE_WATERFALL, Head, IssuanceKind,
    IssuanceRequest, Kind, LinkBank, MoveWallet, Payment, PaymentKind, PlaceHold, Record, SessionStatement, Signed,
    Statement, signing_prefix,
};
use cbdc_ledger::encoding::{hex, hex_decode};
use cbdc_ledger::{AccountId, Amount, BankId, Class, Command, HolderId, MemberId, Timestamp};
use serde_json::{Value, json};

use super::{key, network, number, seed};

const ALICE: u8 = 7;
const BANK: u8 = 6;
const REGISTRAR: u8 = 4;
const VALID_UNTIL: Timestamp = Timestamp(1_800_000_000_000);

fn account(bank: u16, serial: u32) -> AccountId {
    AccountId::new(BankId(bank), serial)
}

fn head(flags: u16, sequence: u64) -> Head {
    Head { flags, key_version: 3, sequence, valid_until: VALID_UNTIL }
}

fn fields_of_head(head: &Head) -> Value {
    json!({
        "flags": head.flags,
        "key_version": head.key_version,
        "sequence": number(head.sequence),
        "valid_until_ms": number(head.valid_until.0),
    })
}

fn merged(mut first: Value, second: Value) -> Value {
    let second = second.as_object().unwrap().clone();
    first.as_object_mut().unwrap().extend(second);
    first
}

/// One record, signed by a key, with its fields.
fn record<R: Record + Clone>(name: &str, signer: u8, record: R, fields: Value) -> Value
where
    Signed<R>: Into<Command>,
{
    let (kind, head, bytes) = (record.kind() as u8, *record.head(), record.to_bytes());
    let signed = record.sign(network(), &key(signer));
    let command: Command = signed.clone().into();
    assert_eq!(Command::from_bytes(&signed.to_bytes()), Ok(command), "{name}");
    assert!(signed.is_signed_by(network(), &key(signer).public_key()), "{name}");
    json!({
        "name": name,
        "kind": kind,
        "fields": merged(fields_of_head(&head), fields),
        "signer_seed": seed(signer),
        "record": hex(&bytes),
        "signed": hex(&signed.to_bytes()),
        "hash": hex(blake3::hash(&signed.to_bytes()).as_bytes()),
    })
}

fn payment(name: &str, kind: PaymentKind, signer: u8, head: Head, to: AccountId, reference: [u8; 16]) -> Value {
    let from = if kind == PaymentKind::Fund { account(1, 0) } else { account(1, 7) };
    let (amount, max_fee) = (Amount::from_minor(1_250), Amount::from_minor(10));
    let fields = json!({
        "from": from.to_string(),
        "to": to.to_string(),
        "amount_minor": number(1_250),
        "max_fee_minor": number(10),
        "reference": hex(&reference),
    });
    record(name, signer, Payment { kind, head, from, to, amount, max_fee, reference }, fields)
}

fn consent(kind: Kind, bank: u16) -> (BankConsent, Value) {
    let statement = ConsentStatement { kind, bank: BankId(bank), account: account(1, 7), valid_until: VALID_UNTIL };
    let consent = statement.sign(network(), 5, &key(BANK));
    let fields = json!({
        "bank": bank,
        "consent": {
            "bank_key_version": 5,
            "valid_until_ms": number(VALID_UNTIL.0),
            "signature": hex(&consent.signature.0),
        },
    });
    (consent, fields)
}

fn records() -> Vec<Value> {
    let (own, other) = (account(1, 7), account(2, 9));
    let reference = *b"invoice 4711\0\0\0\0";
    let hold = PlaceHold {
        head: head(0, 4),
        from: own,
        to: other,
        maximum: Amount::from_minor(20_000),
        max_fee: Amount::from_minor(10),
        expires_at: Timestamp(1_800_000_100_000),
        reference,
    };
    let fields_of_hold = json!({
        "from": own.to_string(),
        "to": other.to_string(),
        "maximum_minor": number(20_000),
        "max_fee_minor": number(10),
        "expires_at_ms": number(1_800_000_100_000),
        "reference": hex(&reference),
    });
    let of_account = json!({ "account": own.to_string() });
    let (to_link, fields_of_link) = consent(Kind::LinkBank, 2);
    let (to_move, fields_of_move) = consent(Kind::MoveWallet, 2);
    let link = |consent: Option<BankConsent>, sequence| LinkBank {
        head: head(0, sequence),
        account: own,
        bank: BankId(consent.map_or(0, |_| 2)),
        consent,
    };
    let moving = MoveWallet { head: head(0, 7), account: own, bank: BankId(2), consent: to_move };
    vec![
        payment("transfer", PaymentKind::Transfer, ALICE, head(0, 1), other, reference),
        payment("transfer-with-top-up", PaymentKind::Transfer, ALICE, head(FLAG_REVERSE_WATERFALL, 2), other, [0; 16]),
        payment("defund", PaymentKind::Defund, ALICE, head(0, 3), account(1, 0), [0; 16]),
        payment("fund", PaymentKind::Fund, BANK, head(0, 1), own, [0; 16]),
        record("hold", ALICE, hold, fields_of_hold),
        record("link-bank", ALICE, link(Some(to_link), 5), merged(of_account.clone(), fields_of_link)),
        record("link-bank-revoked", ALICE, link(None, 6), merged(of_account.clone(), json!({ "bank": 0 }))),
        record("move-wallet", ALICE, moving, merged(of_account.clone(), fields_of_move)),
        record("designate-wallet", ALICE, DesignateWallet { head: head(0, 8), account: own }, of_account),
    ]
}

/// What is signed and is no command: certificates, agreements, consents, sessions, a bank's request.
fn statements() -> Vec<Value> {
    let statement = |name: &str, domain, tag: &str, signer: u8, bytes: Vec<u8>, fields: Value| {
        let signature = key(signer).sign([&signing_prefix(domain, network()), &bytes]);
        json!({ "name": name, "domain": tag, "fields": fields, "signer_seed": seed(signer), "statement": hex(&bytes),
            "signature": hex(&signature.0) })
    };
    let (holder, class, public_key) = (HolderId([9; 16]), Class::MERCHANT, key(ALICE).public_key());
    let fields_of_key = |purpose: Value| {
        let key = json!({ "holder": hex(&holder.0), "class": class.0, "class_name": class.to_string(),
            "key": hex(&public_key.0), "registrar_key_version": 2, "valid_until_ms": number(VALID_UNTIL.0) });
        merged(key, purpose)
    };
    let of = |purpose| Statement { purpose, holder, class, key: public_key, valid_until: VALID_UNTIL }.to_bytes(2);
    let opening = of(CertifiedFor::Open(BankId(1)));
    let replacement = of(CertifiedFor::ReplaceKey { account: account(1, 7), version: 3 });
    let to_open = fields_of_key(json!({ "purpose": 1, "account": account(1, 0).to_string(), "version": 0 }));
    let to_replace = fields_of_key(json!({ "purpose": 2, "account": account(1, 7).to_string(), "version": 3 }));
    let consent =
        ConsentStatement { kind: Kind::LinkBank, bank: BankId(2), account: account(1, 7), valid_until: VALID_UNTIL };
    let fields_of_consent = json!({ "kind": 24, "bank": 2, "bank_key_version": 5,
        "account": account(1, 7).to_string(), "valid_until_ms": number(VALID_UNTIL.0) });
    let challenge: [u8; 32] = std::array::from_fn(|at| at as u8);
    let session = SessionStatement {
        bank: BankId(1),
        key_version: 3,
        account: account(1, 7),
        expires_at: VALID_UNTIL,
        challenge,
    };
    let fields_of_session = json!({ "bank": 1, "key_version": 3, "account": account(1, 7).to_string(),
        "expires_at_ms": number(VALID_UNTIL.0), "challenge": hex(&challenge) });
    let request = IssuanceRequest {
        kind: IssuanceKind::Issue,
        head: head(0, 1),
        bank: BankId(1),
        amount: Amount::from_minor(5_000_000),
    };
    let fields_of_request =
        merged(fields_of_head(&request.head), json!({ "kind": 32, "bank": 1, "amount_minor": number(5_000_000) }));
    let checkpoint = [[11_u8; 32], [12; 32]].concat();
    let fields_of_checkpoint = json!({ "header_hash": hex(&[11; 32]), "root": hex(&[12; 32]) });
    vec![
        statement("certificate-open", Domain::Certificate, "CBDCcrt", REGISTRAR, opening.clone(), to_open.clone()),
        statement("agreement-open", Domain::Agreement, "CBDCagr", ALICE, opening, to_open),
        statement(
            "certificate-replace-key",
            Domain::Certificate,
            "CBDCcrt",
            REGISTRAR,
            replacement.clone(),
            to_replace.clone(),
        ),
        statement("agreement-replace-key", Domain::Agreement, "CBDCagr", ALICE, replacement, to_replace),
        statement("consent", Domain::Consent, "CBDCcns", BANK, consent.to_bytes(5), fields_of_consent),
        statement("session", Domain::Session, "CBDCses", ALICE, session.to_bytes().to_vec(), fields_of_session),
        statement("issuance-request", Domain::Command, "CBDCcmd", BANK, request.to_bytes(), fields_of_request),
        statement("checkpoint", Domain::Checkpoint, "CBDCchk", 1, checkpoint, fields_of_checkpoint),
    ]
}

/// The ledger's own pinned example of each command, for programs of members; signed for a network of its own.
fn every_command() -> Vec<Value> {
    let folder = format!("{}/../ledger/tests/fixtures", env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: std::path::PathBuf| {
        let name = path.file_stem()?.to_str()?.strip_prefix("command-")?.to_owned();
        let digits: String = std::fs::read_to_string(&path).unwrap().split_whitespace().collect();
        let bytes = hex_decode(&digits).unwrap();
        assert!(Command::from_bytes(&bytes).is_ok(), "{name}");
        Some(json!({ "name": name, "kind": bytes[1], "bytes": bytes.len(), "signed": digits }))
    };
    paths.into_iter().filter_map(read).collect()
}

/// Bytes that are no record.
fn refused() -> Vec<Value> {
    let good = records()[0]["signed"].as_str().and_then(hex_decode).unwrap();
    let changed = |at: usize, to: u8| {
        let mut bytes = good.clone();
        bytes[at] = to;
        bytes
    };
    let cases = [
        ("an unknown version", changed(0, 2)),
        ("an unknown kind", changed(1, 99)),
        ("a kind that is no longer used", changed(1, 16)),
        ("an unknown flag", changed(2, 2)),
        ("a flag in the second byte", changed(3, 1)),
        ("an account above 48 bits", changed(31, 1)),
        ("a byte is missing", good[..135].to_vec()),
        ("a byte is left over", [&good[..], &[0]].concat()),
        ("nothing", vec![]),
    ];
    cases
        .map(|(why, bytes)| {
            assert!(Command::from_bytes(&bytes).is_err(), "{why}");
            json!({ "why": why, "signed": hex(&bytes) })
        })
        .to_vec()
}

pub fn vectors() -> Value {
    let prefix = |domain| hex(&signing_prefix(domain, network()));
    json!({
        "network_id": hex(&network().0),
        "prefixes": {
            "CBDCcmd": prefix(Domain::Command),
            "CBDCcrt": prefix(Domain::Certificate),
            "CBDCagr": prefix(Domain::Agreement),
            "CBDCcns": prefix(Domain::Consent),
            "CBDCses": prefix(Domain::Session),
            "CBDChdr": prefix(Domain::Header),
            "CBDCchk": prefix(Domain::Checkpoint),
        },
        "registrar": MemberId(1).0,
        "records": records(),
        "statements": statements(),
        "every_command": every_command(),
        "refused": refused(),
    })
}
