//! Makes a backup: the data as of one instant, in a file that appears when it is whole.

use std::path::Path;

use keyholt_core::time::Moment;
use keyholt_store::DumpLine;

use super::check::Tally;
use super::encrypted::Passphrase;
use super::form::{Header, Writer};
use super::place::Data;
use super::{BackupError, Progress, Step, Summary, TOLD_EVERY, Watch};

/// Writes all data into a new file, encrypted where there is a passphrase. `now` is before the data are read: the backup
/// knows everything up to then.
pub async fn create(
    data: &Data,
    to: &Path,
    passphrase: Option<&Passphrase>,
    now: Moment,
    watch: Watch<'_>,
) -> Result<Summary, BackupError> {
    let header = Header::new(now);
    let mut writer = Writer::begin(to, passphrase, &header)?;
    let mut tally = Tally::default();
    let mut failed = None;
    data.dump(&mut |line: DumpLine| {
        // A dump cannot be stopped half-way; after a failure it only runs out.
        if failed.is_some() {
            return;
        }
        tally.count(&line);
        failed = writer.dump(&line).err();
        if tally.lines.is_multiple_of(TOLD_EVERY) {
            watch(Progress {
                step: Step::Create,
                done: tally.lines,
                of: None,
            });
        }
    })
    .await?;
    if let Some(error) = failed {
        return Err(error);
    }
    let lines = writer.finish()?;
    Ok(tally.summary(&header, lines))
}
