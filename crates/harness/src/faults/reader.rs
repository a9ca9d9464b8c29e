//! Readers: each asks one node of the central bank for the supply, again and again.

use std::sync::Arc;
use std::time::Duration;

use cbdc_client::{ClientError, Connection, GovernanceClient, NetworkFolder, NodeName};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::clients::{DEADLINE, Lives, in_life, life_of};
use super::recorder::Recorder;
use crate::history::{Read, Subject};

/// The interval at which a node of the central bank is read.
const READ_EVERY: Duration = Duration::from_millis(250);

/// Reads the supply at one node of the central bank, whether or not it leads or is cut off.
pub(super) struct Reader {
    pub node: NodeName,
    pub folder: NetworkFolder,
    pub recorder: Arc<Recorder>,
    pub stopping: watch::Receiver<Option<Instant>>,
    pub lives: Lives,
}

impl Reader {
    pub async fn run(self) {
        let mut kept: Option<Connection> = None;
        while self.stopping.borrow().is_none() {
            sleep(READ_EVERY).await;
            let life = life_of(&self.lives, self.node);
            let asked = self.recorder.now();
            let read = async {
                let connection = match &kept {
                    Some(kept) => kept.clone(),
                    None => self.folder.connect_reader(self.node).await?.with_deadline(DEADLINE),
                };
                let client = GovernanceClient::new(connection.clone(), self.folder.anchor().clone());
                Ok::<_, ClientError>((connection, client.supply().await?))
            };
            let Ok(Ok((connection, supply))) = timeout(DEADLINE, read).await else {
                kept = None;
                continue;
            };
            kept = Some(connection);
            if life_of(&self.lives, self.node) != life {
                continue;
            }
            self.recorder.read(Read {
                client: "the reader".to_owned(),
                node: in_life(self.node, life),
                subject: Subject::Supply,
                asked,
                answered: self.recorder.now(),
                height: cbdc_client::Height(supply.height),
                minor: supply.cbdc_minor,
            });
        }
    }
}
