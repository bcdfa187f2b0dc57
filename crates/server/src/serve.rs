//! Puts the house together: settings, master key, store, keeper, doors; and takes it down again without losing a request.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use keyholt_core::actor::Source;
use keyholt_core::bond::{BondError, Masters};
use keyholt_core::entropy::Entropy;
use keyholt_core::seal::MasterKey;
use keyholt_core::text::RequestKey;
use keyholt_core::time::Span;
use keyholt_store::{Memory, Postgres, Sqlite, Store, StoreError};
use tokio::task::JoinHandle;

use crate::clock::SystemClock;
use crate::config::{self, Config, Database, Exposed};
use crate::dialects;
use crate::entropy::SystemEntropy;
use crate::front::{Door, Front, Worker};
use crate::http;
use crate::keeper::{Allowance, Background, FirstStart, Issuers, Keeper, OpenError, Parts, Refusal};
use crate::listen::{self, Drained, Handle, Transport};
use crate::master::{self, MasterKeyError, Origin};
use crate::tls::{Tls, TlsError};

/// The name of the database file in the data folder.
pub const DATABASE_FILE: &str = "keyholt.db";
/// How often the certificate files are looked at.
const CERTIFICATE_LOOK: Duration = Duration::from_secs(5);

/// A running Keyholt.
pub struct Running {
    keeper: Arc<Keeper>,
    handle: Handle,
    /// The listeners that speak one dialect each.
    others: Vec<Handle>,
    transport: Transport,
    tasks: Vec<JoinHandle<()>>,
    /// Where the master key was made, if it was made just now.
    pub made_master_key: Option<PathBuf>,
    /// Where clients reach it.
    pub url: String,
    /// Which dialects are spoken, each with where.
    pub dialects: Vec<(&'static str, String)>,
}

/// Why Keyholt does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It would be reachable by everybody, in clear text.
    #[error(transparent)]
    Exposed(#[from] Exposed),
    /// The data folder cannot be made or used.
    #[error("the data folder {path}: {error}")]
    Data {
        /// Which folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// There is no master key.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// There is data, but not the master key that it was made with.
    #[error(
        "there is data, but no master key at {0}. Put the key that the data was made with there; without it no key in the data can be verified"
    )]
    MasterKeyMissing(PathBuf),
    /// The store does not open.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keeper does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The first run failed.
    #[error(transparent)]
    FirstRun(#[from] Refusal),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Which address.
        address: std::net::SocketAddr,
        /// What the system says.
        error: io::Error,
    },
}

/// Starts everything. When this returns, requests are answered; a set-up token comes along while there is no operator.
pub async fn start(config: &Config) -> Result<(Running, FirstStart), StartError> {
    config.check_exposure()?;
    let transport = match &config.tls {
        None => Transport::Plain,
        Some(files) => Transport::Tls(Arc::new(Tls::load(files.clone())?)),
    };
    // Before anything is opened: a port in use is the commonest reason not to start, and must leave nothing behind.
    let (listener, address) = bind(config.listen)?;
    let mut ears = VecDeque::new();
    for wished in config.dialects.iter().filter_map(|dialect| dialect.listen) {
        ears.push_back(bind(wished)?);
    }

    make_private(&config.data).map_err(|error| StartError::Data {
        path: config.data.clone(),
        error,
    })?;
    // The previous one first: where it cannot be read, no new one is made.
    let previous = config
        .master_key_previous
        .as_ref()
        .map(master::read_previous)
        .transpose()?;
    let (present, made_master_key) = master_key(config)?;
    let store = open_store(config).await?;
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let url = match &config.public_url {
        Some(url) => url.as_str().to_owned(),
        None => format!("{scheme}://{address}"),
    };
    let parts = Parts {
        store,
        masters: Masters { present, previous },
        clock: Arc::new(SystemClock::new()),
        entropy: Box::new(SystemEntropy),
        staleness_max: config.staleness_max,
        guesses: Allowance {
            per_minute: config.limits.guesses_per_minute,
        },
        issuers: Issuers {
            root: config.oauth_root_project.as_str().into(),
            published_ahead: Span::millis(u64::try_from(config.oauth_publish_ahead.as_millis()).unwrap_or(u64::MAX)),
            ..Issuers::at(&url)
        },
        set_back: config.set_back,
    };
    let keeper = match Keeper::open(parts).await {
        Ok(keeper) => Arc::new(keeper),
        Err(error) => return Err(without_new_key(error, made_master_key)),
    };
    let request = RequestKey::new("start").map_err(|error| Refusal::Text {
        field: "request",
        error,
    })?;
    let first = keeper.start(Source { address: None, request }).await?;

    let mut tasks = Vec::new();
    if let Transport::Tls(tls) = &transport {
        let tls = Arc::clone(tls);
        tasks.push(tokio::spawn(async move { tls.watch(CERTIFICATE_LOOK).await }));
    }
    let background = Background {
        flush_every: config.usage_flush_every,
    };
    tasks.push(tokio::spawn(background.run(Arc::clone(&keeper))));

    let settings = Arc::new(http::Settings::new(config));
    let (mut mounts, mut others, mut spoken) = (Vec::new(), Vec::new(), Vec::new());
    for (desk, setting) in dialects::desks(&keeper, &config.dialects, &settings) {
        if let Some(mount) = &setting.mount {
            mounts.push((mount.clone(), desk.clone()));
            spoken.push((setting.name, format!("{url}{}", mount.as_str())));
        }
        if let Some((listener, address)) = setting.listen.and_then(|_| ears.pop_front()) {
            others.push(serve(config, &transport, listener, address, Door::Dialect(desk))?);
            spoken.push((setting.name, format!("{scheme}://{address}")));
        }
    }
    let door = Door::Native {
        keeper: Arc::clone(&keeper),
        settings: Arc::clone(&settings),
        mounts,
        router: http::router(Arc::clone(&keeper), settings),
    };
    let handle = serve(config, &transport, listener, address, door)?;
    Ok((
        Running {
            keeper,
            handle,
            others,
            transport,
            tasks,
            made_master_key,
            url,
            dialects: spoken,
        },
        first,
    ))
}

fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::Listen { address, error };
    let listener = listen::bind(address).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Serves one door on one listener. Every listener has the same transport, limits and number of workers.
fn serve(
    config: &Config,
    transport: &Transport,
    listener: TcpListener,
    address: SocketAddr,
    door: Door,
) -> Result<Handle, StartError> {
    let processors = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let workers = config.workers.on(processors);
    listen::listen(listener, transport, workers, (&config.limits).into(), move |_| {
        let mut start = [0; 8];
        SystemEntropy.fill(&mut start);
        let worker = Rc::new(Worker::new(door.clone(), start));
        move |connection| Front::new(Rc::clone(&worker), connection)
    })
    .map_err(|error| StartError::Listen { address, error })
}

impl Running {
    /// Who decides.
    pub fn keeper(&self) -> &Arc<Keeper> {
        &self.keeper
    }

    /// The address listened on.
    pub fn address(&self) -> std::net::SocketAddr {
        self.handle.local_addr()
    }

    /// Reads the certificate again. One that cannot be used is logged, and the old one stays.
    pub fn reload(&self) {
        match &self.transport {
            Transport::Plain => {}
            Transport::Tls(tls) => match tls.reload() {
                Ok(()) => tracing::info!("read the certificate again"),
                Err(error) => tracing::error!(%error, "the certificate stays as it was"),
            },
        }
    }

    /// Stops accepting, answers what was asked, writes down what is in memory, and closes the store.
    pub async fn stop(self, patience: Duration) -> Drained {
        let drains = [self.handle].into_iter().chain(self.others);
        let drained = join_all(drains.map(|handle| handle.drain(patience))).await;
        let drained = Drained {
            cut: drained.iter().map(|drained| drained.cut).sum(),
        };
        for task in self.tasks {
            task.abort();
            // Its end is awaited, so that nobody writes to the store after it is closed.
            let _ = task.await;
        }
        self.keeper.rest().await;
        drained
    }
}

/// Opens the store that the settings name.
pub async fn open_store(config: &Config) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match &config.database {
        Database::Memory => Arc::new(Memory::new()),
        Database::Sqlite(path) => Arc::new(Sqlite::open(
            path.as_deref().unwrap_or(&config.data.join(DATABASE_FILE)),
        )?),
        Database::Postgres(url) => Arc::new(Postgres::connect(url, &mut SystemEntropy).await?),
    })
}

fn master_key(config: &Config) -> Result<(MasterKey, Option<PathBuf>), StartError> {
    match &config.master_key {
        config::MasterKey::Given(text) => Ok((master::parse(text.trim())?, None)),
        config::MasterKey::File(path) => {
            let has_data = match &config.database {
                Database::Sqlite(file) => file.clone().unwrap_or_else(|| config.data.join(DATABASE_FILE)).exists(),
                // Whether a server has data is only known later; the key is taken away again if it has.
                Database::Postgres(_) | Database::Memory => false,
            };
            // Whoever names the previous one has moved it there and wants a new one.
            let is_replaced = config.master_key_previous.is_some();
            if has_data && !is_replaced && !path.exists() {
                return Err(StartError::MasterKeyMissing(path.clone()));
            }
            Ok(match master::read_or_make(path, &mut SystemEntropy)? {
                Origin::Kept(key) => (key, None),
                Origin::Made(key, path) => (key, Some(path)),
            })
        }
    }
}

/// A master key that was made just now for data that has another one must not stay: it would look like the right one.
fn without_new_key(error: OpenError, made: Option<PathBuf>) -> StartError {
    let (OpenError::Bond(reason), Some(path)) = (&error, made) else {
        return error.into();
    };
    if let Err(error) = fs::remove_file(&path) {
        tracing::warn!(path = %path.display(), %error, "a master key file that fits no data could not be removed");
    }
    match reason {
        BondError::Other => StartError::MasterKeyMissing(path),
        BondError::OtherPrevious | BondError::Same | BondError::UnderWay => error.into(),
    }
}

/// Makes the data folder, for its owner alone, whatever the umask says.
fn make_private(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        let mode = fs::metadata(folder)?.permissions().mode() & 0o777;
        if mode & 0o022 != 0 {
            tracing::warn!(folder = %folder.display(), mode = format!("{mode:o}"), "others may write to the data folder; set its mode to 0700");
        }
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}
