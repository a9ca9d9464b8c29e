//! What a stranger, who has no key, may send in the name of another bank's wallet.

use cbdc_client::{AccountId, BankId, Class, HolderId, Reason, SigningKey, Timestamp, Wallet};
use cbdc_devnet::Network;
use cbdc_ledger::Signature;
use cbdc_ledger::command::{BankConsent, MoveWallet, Record};
use cbdc_proto::status::refusal_of;
use cbdc_proto::v1;
use cbdc_proto::v1::bank_client::BankClient;
use cbdc_proto::v1::consent_request::To;
use futures::future::join_all;
use tonic::transport::Channel;

use crate::customers::{BANK, Running, head};

const OTHER: BankId = BankId(2);

async fn open_elsewhere(network: &Network) -> AccountId {
    let (key, holder) = (SigningKey::from_seed([40; 32]), HolderId([40; 16]));
    let registration = network.first_registrar().unwrap().register(OTHER, holder, Class::HOUSEHOLD, key.public_key());
    let connection = network.connect_customer(OTHER).unwrap();
    Wallet::open(connection, network.anchor().clone(), key, &registration).await.unwrap().account()
}

/// A request to move `account` to bank 1 that its holder has not signed, and the answer.
async fn junk(running: &Running, account: AccountId, sequence: u64, consent: BankConsent) -> Reason {
    let stranger = SigningKey::from_seed([99; 32]);
    let record = MoveWallet { head: head(sequence), account, bank: BANK, consent };
    let command = record.sign(running.network.anchor().network(), &stranger).to_bytes().to_vec().into();
    let answer = running.client(None).submit_holder_command(v1::SubmitHolderCommandRequest { command }).await;
    refusal_of(&answer.unwrap_err()).unwrap().reason
}

async fn consent_to(bank: &mut BankClient<Channel>, account: AccountId) -> BankConsent {
    let request = v1::ConsentRequest { account: account.to_string(), to: To::MoveWallet.into() };
    let given = bank.consent(request).await.unwrap().into_inner();
    BankConsent {
        bank_key_version: given.bank_key_version,
        valid_until: Timestamp(given.valid_until_ms),
        signature: Signature(given.signature.to_vec().try_into().unwrap()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_uses_up_a_small_part_of_what_a_bank_may_waste_and_its_customers_are_served() {
    let running = Running::start(0).await;
    let (elsewhere, mut bank) = (open_elsewhere(&running.network).await, running.client(None));
    let nobody = AccountId::new(OTHER, 999);
    // The central bank would not even look at the signatures of a wallet that does not exist.
    let forged = BankConsent { signature: Signature([7; 64]), ..consent_to(&mut bank, nobody).await };
    assert_eq!(junk(&running, nobody, 1, forged).await, Reason::BadSignature);
    let replaced = BankConsent { bank_key_version: 3, ..forged };
    assert_eq!(junk(&running, nobody, 1, replaced).await, Reason::UnknownAccount);

    // Anybody gets a consent, and the bank does not know the holder's key.
    let consent = consent_to(&mut bank, elsewhere).await;
    let (mut bad_signatures, mut is_slowed) = (0, false);
    for round in 0..60 {
        let sent = (1..=16).map(|at| junk(&running, elsewhere, round % 3 * 16 + at, consent));
        for reason in join_all(sent).await {
            match reason {
                Reason::BadSignature => bad_signatures += 1,
                Reason::Overloaded => is_slowed = true,
                other => panic!("{other}"),
            }
        }
        if is_slowed {
            break;
        }
    }
    assert!(is_slowed && bad_signatures > 100, "{bad_signatures}");

    let command = running.designation.to_bytes().to_vec().into();
    let answer = bank.submit_holder_command(v1::SubmitHolderCommandRequest { command }).await.unwrap();
    assert!(answer.into_inner().settled);
    running.stop().await;
}
