//! The command line, as text and as values.

mod values;

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand};
use tower_wcgi::NetRule;

pub(crate) use self::values::{MapDir, Quota, mapdir, size};
use self::values::{network, quota, seconds, variable};
use crate::templates::Template;

/// Serves CGI programs compiled to WebAssembly, one isolated instance per request.
#[derive(Debug, Parser)]
#[command(name = "wcgi", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,

    #[command(flatten)]
    pub(crate) logging: Logging,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Logging {
    /// Log more; give it twice to log everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,

    /// Log warnings and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
}

impl Logging {
    pub(crate) fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) => Verbosity::Normal,
            (false, 1) => Verbosity::Verbose,
            (false, _) => Verbosity::Everything,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Verbosity {
    Quiet,
    Normal,
    Verbose,
    Everything,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a package over HTTP
    Run(Run),
    /// Serve the sites of a configuration file over HTTP and HTTPS
    Serve(Serve),
    /// Run the start-up of a package's program now, and write a package that begins after it
    #[cfg(feature = "compiler")]
    Build(Build),
    /// Find data in a package's snapshot that should differ between requests
    #[cfg(feature = "compiler")]
    Check(Check),
    /// Write a new package to start from
    New(New),
    /// Send a package to a registry
    Push(Push),
    /// Fetch a package from a registry
    Pull(Pull),
    /// Write a package with all that it depends on into one .webc, which Wasmer runs too
    Pack(Pack),
    /// Show what is in a package, and what it asks for
    Inspect(Inspect),
    /// Resolve the dependencies of a package anew
    Update(Update),
    /// Make a pair of keys to sign packages with
    Keygen(Keygen),
    /// List or add the interpreters that packages depend on
    Runtime(Runtime),
    /// Say what this machine offers, and what would keep packages from being served
    Doctor(Doctor),
    /// Print the completions for a shell
    Completions(Completions),
    /// Print the manual page
    Man,
}

/// Where modules and packages are kept.
#[derive(Debug, Clone, Args)]
pub(crate) struct Cache {
    /// Where compiled modules and pulled packages are kept [default: below the user's cache directory]
    #[arg(long, value_name = "DIR", conflicts_with = "no_cache", global = true)]
    pub(crate) cache_dir: Option<PathBuf>,

    /// Compile and fetch anew, and keep nothing
    #[arg(long, global = true)]
    pub(crate) no_cache: bool,
}

/// How packages are fetched, and how large they may be.
#[derive(Debug, Clone, Args)]
pub(crate) struct Download {
    /// Speak to registries on other machines without TLS
    #[arg(long, global = true)]
    pub(crate) plain_http: bool,

    /// All files of a pulled package, unpacked
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = size, hide_short_help = true, global = true)]
    pub(crate) max_package: u64,

    /// Files and directories of a pulled package
    #[arg(long, value_name = "N", default_value = "100000", hide_short_help = true, global = true)]
    pub(crate) max_files: u64,

    /// One module of a pulled package
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = size, hide_short_help = true, global = true)]
    pub(crate) max_module: u64,

    /// A manifest of a pulled package
    #[arg(long, value_name = "SIZE", default_value = "4MiB", value_parser = size, hide_short_help = true, global = true)]
    pub(crate) max_manifest: u64,

    /// Memory to unpack a pulled package, rounded down to a power of two
    #[arg(long, value_name = "SIZE", default_value = "128MiB", value_parser = size, hide_short_help = true, global = true)]
    pub(crate) max_window: u64,
}

/// Which packages are believed.
#[derive(Debug, Clone, Args)]
pub(crate) struct Trust {
    /// Refuse a pulled package that this public key has not signed; repeatable, one of several will do
    #[arg(long, value_name = "KEY")]
    pub(crate) verify: Vec<PathBuf>,

    /// Refuse dependencies that wcgi.lock does not have
    #[arg(long)]
    pub(crate) locked: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Push {
    /// A directory with wasmer.toml, a .webc, or a .wasm/.wat
    pub(crate) package: PathBuf,

    /// Where to, as localhost:5000/me/blog:1.0
    #[arg(value_name = "REF")]
    pub(crate) reference: String,

    /// Sign it with this private key
    #[arg(long, value_name = "KEY")]
    pub(crate) sign: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) cache: Cache,

    #[command(flatten)]
    pub(crate) download: Download,
}

#[derive(Debug, Args)]
pub(crate) struct Pull {
    /// What, as localhost:5000/me/blog:1.0
    #[arg(value_name = "REF")]
    pub(crate) reference: String,

    /// Write it there as a package of your own; the directory is absent or empty
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,

    /// Refuse what this public key has not signed; repeatable, one of several will do
    #[arg(long, value_name = "KEY")]
    pub(crate) verify: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) cache: Cache,

    #[command(flatten)]
    pub(crate) download: Download,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// A directory with wasmer.toml, a .webc, a .wasm/.wat, or a package of a registry
    pub(crate) package: PathBuf,

    /// Which command of the package
    #[arg(long, value_name = "NAME")]
    pub(crate) command: Option<String>,

    /// Print it as JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) cache: Cache,

    #[command(flatten)]
    pub(crate) download: Download,

    #[command(flatten)]
    pub(crate) trust: Trust,
}

#[derive(Debug, Args)]
pub(crate) struct Pack {
    /// A directory with wasmer.toml, a .wasm/.wat, or a package of a registry
    pub(crate) package: PathBuf,

    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,

    /// Only this command of the package
    #[arg(long, value_name = "NAME")]
    pub(crate) command: Option<String>,

    #[command(flatten)]
    pub(crate) cache: Cache,

    #[command(flatten)]
    pub(crate) download: Download,

    #[command(flatten)]
    pub(crate) trust: Trust,
}

#[derive(Debug, Args)]
pub(crate) struct Update {
    /// Which dependencies: all when none is named
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,

    /// The directory of the package
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) package: PathBuf,

    #[command(flatten)]
    pub(crate) cache: Cache,

    #[command(flatten)]
    pub(crate) download: Download,
}

#[derive(Debug, Args)]
pub(crate) struct Keygen {
    /// The private key; the public one is written beside it, with .pub at the end
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Runtime {
    #[command(subcommand)]
    pub(crate) command: RuntimeCommand,

    #[command(flatten)]
    pub(crate) cache: Cache,

    #[command(flatten)]
    pub(crate) download: Download,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RuntimeCommand {
    /// List the runtimes that were added, and the packages that were pulled
    List,
    /// Add a runtime, which comes before what a registry has under its name
    Add {
        /// What packages call it, as php:8.4
        #[arg(value_name = "NAME:VERSION")]
        name: String,

        /// A .wasm, a .webc or a directory with wasmer.toml
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) cache: Cache,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// Which shell
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct New {
    /// The directory to create; its last part is the package's name
    #[arg(required_unless_present = "list")]
    pub(crate) path: Option<PathBuf>,

    /// The language of the package; --list lists them
    #[arg(short, long, value_name = "LANG", required_unless_present = "list", value_parser = crate::templates::template)]
    pub(crate) template: Option<&'static Template>,

    /// List the languages that have a template
    #[arg(short, long, exclusive = true)]
    pub(crate) list: bool,

    #[command(flatten)]
    pub(crate) cache: Cache,
}

/// The package to open, and how.
#[derive(Debug, Clone, Args)]
pub(crate) struct Package {
    /// A directory with wasmer.toml, a .webc, a .wasm/.wat, or a package of a registry, as localhost:5000/me/blog:1.0
    pub(crate) package: PathBuf,

    /// Let the program see a host directory, writable unless you add :ro; repeatable
    #[arg(long, value_name = "GUEST:HOST[:ro|rw]", value_parser = mapdir)]
    pub(crate) mapdir: Vec<MapDir>,

    /// Set an environment variable, in place of the package's; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = variable)]
    pub(crate) env: Vec<(String, String)>,

    /// The command of the package to run [default: its entrypoint, or its only command]
    #[arg(long, value_name = "NAME")]
    pub(crate) command: Option<String>,

    /// Most memory of one instance; sizes take K, M, G, KB, MB, GB, KiB, MiB, GiB, all powers of two
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = size)]
    pub(crate) max_memory: u64,

    #[command(flatten)]
    pub(crate) cache: Cache,

    #[command(flatten)]
    pub(crate) download: Download,

    #[command(flatten)]
    pub(crate) trust: Trust,

    /// Most time to compile a module; 0 = no limit
    #[cfg(feature = "compiler")]
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = seconds)]
    pub(crate) max_compile_time: Duration,

    /// Most memory to compile a module; 0 = no limit
    #[cfg(feature = "compiler")]
    #[arg(long, value_name = "SIZE", default_value = "2GiB", value_parser = size)]
    pub(crate) max_compile_memory: u64,
}

#[cfg(feature = "compiler")]
#[derive(Debug, Args)]
pub(crate) struct Build {
    #[command(flatten)]
    pub(crate) package: Package,

    /// The directory to create, or the file of --executable
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: PathBuf,

    /// Compile the program too, for hosts like this one
    #[arg(long)]
    pub(crate) aot: bool,

    /// Write one file that serves the package: this server, the package and its compiled code
    #[arg(long)]
    pub(crate) executable: bool,
}

#[cfg(feature = "compiler")]
#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) package: Package,

    /// List what the snapshot of the start-up takes from random numbers, the time or the environment
    #[arg(long, required = true)]
    pub(crate) snapshot: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) package: Package,

    /// Address to listen on; :8000 is every address, 8000 this machine alone, port 0 any free port
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8000")]
    pub(crate) addr: String,

    /// Show failures to the client: the reason, the backtrace, the last of stderr. On a terminal --watch comes with it
    #[arg(long)]
    pub(crate) dev: bool,

    /// Open the package anew when its manifest or module changes, as SIGHUP does
    #[arg(long)]
    pub(crate) watch: bool,

    /// All clients use TLS, which a proxy ends: the scheme is https, and the port 443 unless the client names another
    #[arg(long)]
    pub(crate) https: bool,

    /// Believe the Forwarded and X-Forwarded-* headers of this proxy, such as 127.0.0.1 or 10.0.0.0/8; repeatable
    #[arg(long, value_name = "CIDR", value_parser = network)]
    pub(crate) trusted_proxy: Vec<String>,

    /// What the program may connect to, as db:3306=127.0.0.1:3306, api.example.com:443 or db:3306=unix:/path; repeatable
    #[arg(long, value_name = "RULE")]
    pub(crate) net: Vec<NetRule>,

    /// Let a .webc or a pulled package connect to all that it asks for
    #[arg(long)]
    pub(crate) net_as_asked: bool,

    /// Let the program see the headers Authorization and Proxy-Authorization
    #[arg(long)]
    pub(crate) pass_authorization: bool,

    /// Run the program's start-up in each request, even if a snapshot is possible
    #[arg(long)]
    pub(crate) no_snapshot: bool,

    /// Load the package's compiled code, which can do anything that wcgi can
    #[arg(long)]
    pub(crate) trust_precompiled: bool,

    /// Serve the package below this URL prefix
    #[arg(long, value_name = "PREFIX", default_value = "/")]
    pub(crate) mount: String,

    /// Most time from a request to the end of its response; 0 = no limit
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(crate) deadline: Duration,

    /// Largest request body
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = size)]
    pub(crate) max_body: u64,

    /// Most bytes of all files in a request's /tmp together
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = size)]
    pub(crate) max_tmp: u64,

    /// Most bytes of all files below the mount GUEST together, as in /db=1GiB; repeatable
    #[arg(long, value_name = "GUEST=SIZE", value_parser = quota)]
    pub(crate) quota: Vec<Quota>,

    /// Most bytes of all request bodies on disk together; requests beyond that get 503
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = size)]
    pub(crate) max_spool: u64,

    /// Requests that run at once; more requests wait in the queue
    #[arg(long, value_name = "N", default_value = "128")]
    pub(crate) max_concurrency: usize,

    /// Requests that may wait in the queue; requests beyond that get 503
    #[arg(long, value_name = "N", default_value = "1024")]
    pub(crate) queue: usize,

    /// Most time that a request may wait in the queue; after it the request gets 503
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) queue_wait: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The configuration; paths in it are relative to its directory
    #[arg(default_value = "wcgi.toml")]
    pub(crate) config: PathBuf,

    /// Show failures to the client: the reason, the backtrace, the last of stderr
    #[arg(long)]
    pub(crate) dev: bool,

    /// Reload when the configuration, a manifest, a module or a certificate changes
    #[arg(long)]
    pub(crate) watch: bool,

    /// Open everything, serve nothing, and say whether it would work
    #[arg(long)]
    pub(crate) check: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
