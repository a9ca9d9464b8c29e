//! From bytes to what `apply` accepts, and who vouches for the signatures.
//!
//! There are three ways to a [`VerifiedProposal`], each named for who vouches:
//!
//! * [`verify_slices`] checks signatures against the keys in force, a slice of each of several batches at a time
//!   ([`verify_batches`]: whole batches). The sequencer collects the resulting [`VerifiedBatch`]es into a block
//!   proposal, and [`VerifiedProposal::from_built`] takes that.
//! * [`VerifiedProposal::check`] does the same for a whole block from a peer or under audit, and
//!   [`VerifiedProposal::check_before_outcomes`] for a block proposal whose outcomes are known only once it is applied.
//! * [`VerifiedProposal::from_own_log`] trusts the bytes because this node, or the leader it follows, verified them
//!   before they were ordered and its own checksummed log kept them (crash faults, not lies).
//!
//! A command names the version of the key that signs it. `apply` refuses it (`KEY_CHANGED`) if another version is in
//! force by then, so a verdict can never outlive its key.

use cbdc_signatures::{Batch, BatchSeed, DecompressedKey, Signature, Trust};

use super::block_proposal::{BlockProposal, BuiltProposal};
use super::command_batch::{CommandBatch, VerifiedBatch};
use super::directory::{KeyDirectory, KeySnapshot};
use super::slice_verification::{PartlyVerified, Slice, verify_slices};
use crate::codec::encoding::{DecodeError, Writer};
use crate::command::{
    Certificate, Command, Domain, OpenWallet, Record, ReplaceKey, SIGNATURE_BYTES, Signer, Statement, authority,
    signing_prefix,
};
use crate::state::member::Role;
use crate::types::identity::{MemberId, NetworkId};
use crate::types::outcome::{Outcome, Reason, Stage};

pub use crate::command::Signed;

/// A block proposal that may be applied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifiedProposal<'a>(BlockProposal<'a>);

/// The reason why a block from a peer or under audit is not accepted.
#[allow(missing_docs, reason = "each variant's message says what was expected and what was found")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerificationError {
    #[error("the block proposal cannot be read: {0}")]
    Decode(#[from] DecodeError),
    #[error("command {index} of the block proposal has no valid signature: {reason}")]
    Signature { index: usize, reason: Reason },
}

impl<'a> VerifiedProposal<'a> {
    /// Decodes a block proposal from this node's own checksummed log.
    pub fn from_own_log(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        BlockProposal::decode(bytes).map(VerifiedProposal)
    }

    /// A block proposal of verified commands, as this node built it.
    pub fn from_built(made: &'a BuiltProposal) -> Self {
        VerifiedProposal(made.proposal())
    }

    /// Decodes a block proposal and verifies every command that had an effect by the recorded outcomes.
    ///
    /// A command that was refused before it used its sequence number (such as one whose key was replaced while it was
    /// in flight) changed nothing, and the key that could verify it is gone; it is not verified.
    pub fn check(
        bytes: &'a [u8],
        outcomes: &[Outcome],
        network: NetworkId,
        directory: &KeyDirectory,
        seed: BatchSeed,
    ) -> Result<Self, VerificationError> {
        let (verified, unsigned) = VerifiedProposal::check_before_outcomes(bytes, network, directory, seed)?;
        unsigned.check(outcomes)?;
        Ok(verified)
    }

    /// Decodes a block proposal and verifies every command. Those without a valid signature may have no effect: once
    /// the proposal was applied, [`Unsigned::check`] says whether one had.
    pub fn check_before_outcomes(
        bytes: &'a [u8],
        network: NetworkId,
        directory: &KeyDirectory,
        seed: BatchSeed,
    ) -> Result<(Self, Unsigned), DecodeError> {
        let proposal = BlockProposal::decode(bytes)?;
        let commands: Vec<_> = proposal.commands.iter().zip(proposal.encoded_commands()).collect();
        let verdicts = check_signatures(network, directory, &commands, seed).into_iter().enumerate();
        let unsigned = verdicts.filter_map(|(index, verdict)| Some((index, verdict.err()?.reason))).collect();
        Ok((VerifiedProposal(proposal), Unsigned(unsigned)))
    }

    /// The block proposal.
    pub fn proposal(&self) -> &BlockProposal<'a> {
        &self.0
    }
}

/// The commands of a block proposal that no key in force has signed, by their index, and why.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Unsigned(Vec<(usize, Reason)>);

impl Unsigned {
    /// Checks that none of them had an effect, by the outcomes.
    ///
    /// # Errors
    /// [`VerificationError::Signature`] for the first that had one.
    pub fn check(&self, outcomes: &[Outcome]) -> Result<(), VerificationError> {
        let had_effect =
            |index: usize| outcomes.get(index).is_none_or(|outcome| outcome.reason.stage() != Stage::BeforeOrdering);
        match self.0.iter().find(|(index, _)| had_effect(*index)) {
            Some(&(index, reason)) => Err(VerificationError::Signature { index, reason }),
            None => Ok(()),
        }
    }
}

/// Verifies the commands of several batches together against the keys in force; those of a suspect source cost the
/// others nothing. For each batch: the good commands, and the refusals of the rest with their indices in it.
pub fn verify_batches(
    network: NetworkId,
    directory: &KeyDirectory,
    batches: Vec<(CommandBatch, Trust)>,
    seed: BatchSeed,
) -> Vec<(VerifiedBatch, Vec<(usize, Outcome)>)> {
    let (batches, trusts): (Vec<_>, Vec<_>) = batches.into_iter().unzip();
    let mut batches: Vec<_> = batches.into_iter().map(PartlyVerified::new).collect();
    let mut slices = Vec::with_capacity(batches.len());
    for (batch, trust) in batches.iter_mut().zip(trusts) {
        slices.push(Slice { count: batch.left(), batch, trust });
    }
    let refused = verify_slices(network, directory, &mut slices, seed);
    let verified = batches.into_iter().map(|batch| batch.finish().expect("all of it was verified"));
    verified.zip(refused).collect()
}

/// Signatures to check; and, back to back, the signed records inside commands.
struct Checks<'a> {
    inner: Writer,
    list: Vec<Check<'a>>,
}

/// One signature to check.
struct Check<'a> {
    command: usize,
    domain: Domain,
    message: Message<'a>,
    signature: Signature,
    key: CheckKey<'a>,
}

/// The key of a check.
enum CheckKey<'a> {
    /// A key in force.
    InForce(&'a DecompressedKey),
    /// A key that comes with the command.
    New(Box<DecompressedKey>),
}

/// The signed bytes, behind the prefix.
enum Message<'a> {
    Command(&'a [u8]),
    /// Its range in [`Checks::inner`].
    Inner(std::ops::Range<usize>),
}

impl<'a> Checks<'a> {
    fn add_inner(
        &mut self,
        (command, domain): (usize, Domain),
        signature: Signature,
        key: CheckKey<'a>,
        message: impl FnOnce(&mut Writer),
    ) {
        let start = self.inner.len();
        message(&mut self.inner);
        let message = Message::Inner(start..self.inner.len());
        self.list.push(Check { command, domain, message, signature, key });
    }
}

/// Verifies commands, each with its own bytes, in one batch against the keys in force; the answers are in the same
/// order.
pub fn check_signatures(
    network: NetworkId,
    directory: &KeyDirectory,
    commands: &[(&Command, &[u8])],
    seed: BatchSeed,
) -> Vec<Result<(), Outcome>> {
    check_by_trust(network, directory, commands, |_| Trust::Clean, seed)
}

/// Like [`check_signatures`], with the trust in each command's sender.
pub(super) fn check_by_trust(
    network: NetworkId,
    directory: &KeyDirectory,
    commands: &[(&Command, &[u8])],
    trust_of: impl Fn(usize) -> Trust,
    seed: BatchSeed,
) -> Vec<Result<(), Outcome>> {
    let prefix = |domain| signing_prefix(domain, network);
    let (of_command, of_certificate) = (prefix(Domain::Command), prefix(Domain::Certificate));
    let (of_agreement, of_consent) = (prefix(Domain::Agreement), prefix(Domain::Consent));
    let keys = directory.snapshot();
    keys.make_ready(commands.iter().map(|(command, _)| command.signer()));
    let mut checks = Checks { inner: Writer::default(), list: Vec::with_capacity(commands.len()) };
    let collect = |(index, (command, encoded))| collect_checks(&keys, index, command, encoded, &mut checks);
    let mut verdicts: Vec<_> = commands.iter().copied().enumerate().map(collect).collect();
    let mut batch = Batch::with_capacity(checks.list.len());
    for check in &checks.list {
        let prefix = match check.domain {
            Domain::Certificate => &of_certificate,
            Domain::Agreement => &of_agreement,
            Domain::Consent => &of_consent,
            _ => &of_command,
        };
        let message = match &check.message {
            Message::Command(signed) => signed,
            Message::Inner(range) => &checks.inner.as_bytes()[range.clone()],
        };
        batch.set_trust(trust_of(check.command));
        let key = match &check.key {
            CheckKey::InForce(key) => key,
            CheckKey::New(key) => key.as_ref(),
        };
        batch.push(key, [prefix, message], &check.signature);
    }
    for (check, good) in checks.list.iter().zip(batch.verdicts(seed)) {
        if !good && verdicts[check.command].is_ok() {
            verdicts[check.command] = Err(Outcome::refused(Reason::BadSignature, 0, 0));
        }
    }
    verdicts
}

/// Finds the keys of all signatures of a command and adds each check.
fn collect_checks<'a>(
    keys: &'a KeySnapshot,
    index: usize,
    command: &Command,
    encoded: &'a [u8],
    checks: &mut Checks<'a>,
) -> Result<(), Outcome> {
    if !authority::is_signed_by_the_right_role(command) {
        return Err(Outcome::refused(Reason::NotAuthorised, 0, 0));
    }
    let key = keys.find(command.signer(), command.head().key_version)?;
    match command {
        Command::OpenWallet(signed) => {
            let OpenWallet { certificate, agreement, .. } = &signed.record;
            add_certified(keys, index, (&signed.record.statement(), certificate, *agreement), checks)?;
        }
        // The holder of a replaced key is the wallet's own, which the directory knows. The class is the one in the
        // record: if it has changed by the time the command is applied, the command is refused then.
        Command::ReplaceKey(signed) => {
            let ReplaceKey { account, certificate, agreement, .. } = &signed.record;
            let statement = signed.record.statement(keys.holder_of(*account)?);
            add_certified(keys, index, (&statement, certificate, *agreement), checks)?;
        }
        Command::LinkBank(_) | Command::MoveWallet(_) => {
            if let Some((statement, consent)) = command.consented() {
                let bank = Signer::Member(Role::Bank, MemberId(statement.bank.0));
                let bank_key = CheckKey::InForce(keys.find(bank, consent.bank_key_version)?);
                let bytes = statement.to_bytes(consent.bank_key_version);
                checks.add_inner((index, Domain::Consent), consent.signature, bank_key, |out| {
                    out.raw(&bytes);
                });
            }
        }
        _ => {}
    }
    let of_command = (index, Domain::Command);
    if let Command::Issuance(signed) = command {
        let request = &signed.record.request;
        let bank = Signer::Member(Role::Bank, MemberId(request.record.bank.0));
        let bank_key = keys.find(bank, request.record.head.key_version)?;
        checks.add_inner(of_command, request.signature, CheckKey::InForce(bank_key), |out| request.record.encode(out));
    }
    if let Command::ReverseWaterfall(signed) = command {
        let transfer = &signed.record.transfer;
        let payer_key = keys.find(transfer.record.signer(), transfer.record.head.key_version)?;
        checks
            .add_inner(of_command, transfer.signature, CheckKey::InForce(payer_key), |out| transfer.record.encode(out));
    }
    let message = Message::Command(&encoded[..encoded.len() - SIGNATURE_BYTES]);
    let signature = *command.signature();
    checks.list.push(Check {
        command: index,
        domain: Domain::Command,
        message,
        signature,
        key: CheckKey::InForce(key),
    });
    Ok(())
}

/// Adds the checks of a registrar's certificate and of the holder's agreement with the certified key.
fn add_certified<'a>(
    keys: &'a KeySnapshot,
    index: usize,
    (statement, certificate, agreement): (&Statement, &Certificate, Signature),
    checks: &mut Checks<'a>,
) -> Result<(), Outcome> {
    let registrar = Signer::Member(Role::Registrar, certificate.registrar);
    let registrar_key = CheckKey::InForce(keys.find(registrar, certificate.registrar_key_version)?);
    let new_key = statement.key.decompress().map_err(|_| Outcome::refused(Reason::BadSignature, 0, 0))?;
    let new_key = CheckKey::New(Box::new(new_key));
    let bytes = statement.to_bytes(certificate.registrar_key_version);
    let signed = |out: &mut Writer| {
        out.raw(&bytes);
    };
    checks.add_inner((index, Domain::Certificate), certificate.signature, registrar_key, signed);
    checks.add_inner((index, Domain::Agreement), agreement, new_key, signed);
    Ok(())
}
