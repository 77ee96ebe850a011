//! `wcgi run` when all is well.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};

use wcgi_tests::{guest, root};

use crate::process::{Serving, output, shout_back, text, wcgi};

#[test]
fn the_first_line_says_where_it_listens_then_each_request_has_a_line() {
    let serving = Serving::start(&root().join("examples/hello"), &[]);
    let response = serving.get("/?name=Ada");
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n") && response.contains("Ada"), "{response}");
    let line = serving.line("GET /?name=Ada");
    assert!(line.contains(" 200 "), "{line}");
    assert!(!line.contains('\x1b'), "no colours in a pipe: {line:?}");
}

#[test]
fn quiet_has_no_access_lines_and_verbose_has_more() {
    let serving = Serving::start(&guest("trap"), &["-q"]);
    serving.get("/?quiet");
    let line = serving.lines.recv_timeout(crate::process::PATIENCE).unwrap();
    assert!(line.contains("trap") && !line.contains("GET"), "the failure, not the access: {line}");
    let serving = Serving::start(&guest("hello"), &["-v"]);
    serving.line("DEBUG");
}

#[test]
fn every_option_does_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(guest("env"), dir.path().join("env.wasm")).unwrap();
    let manifest = r#"
[[module]]
name = "env"
source = "env.wasm"
[[command]]
name = "one"
module = "env"
runner = "wcgi"
annotations = { wasi = { env = ["WHICH=one", "KEPT=yes"] } }
[[command]]
name = "two"
module = "env"
runner = "wcgi"
annotations = { wasi = { env = ["WHICH=two"] } }
"#;
    fs::write(dir.path().join("wasmer.toml"), manifest).unwrap();
    let serving =
        Serving::start(dir.path(), &["--command", "two", "--env", "A=1=2", "--env", "WHICH=mine", "--mount", "/x"]);
    let response = serving.get("/x/y?q");
    for line in ["A=1=2", "WHICH=mine", "SCRIPT_NAME=/x", "PATH_INFO=/y", "QUERY_STRING=q", "REMOTE_ADDR=127.0.0.1"] {
        assert!(response.lines().any(|other| other == line), "{line}: {response}");
    }
    assert!(response.contains("\nSERVER_PORT=80\n"), "the Host header has no port: {response}");
    assert!(serving.get("/other").starts_with("HTTP/1.1 404"));

    let serving = Serving::start(&guest("count"), &["--max-body", "1KiB"]);
    let mut stream = serving.connect();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1025\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 413"), "{response}");

    let serving = Serving::start(&guest("grow"), &["--max-memory", "16MiB"]);
    assert!(serving.get("/?8").contains("grew 8 MiB"));
    assert!(serving.get("/?32").contains("failed after"));
}

#[test]
fn a_program_reaches_what_it_is_granted() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let target = "/?do=echo&say=hello&host=db&port=3306";
    let serving = Serving::start(&guest("net"), &["--net", &format!("db:3306={address}")]);
    let reply = shout_back(&listener, || serving.get(target));
    assert!(reply.contains("HELLO\npeer 198.18.0.1 3306\n"), "{reply}");

    let serving = Serving::start(&guest("net"), &[]);
    let reply = serving.get(target);
    assert!(reply.contains("does not resolve") && !reply.contains("--net"), "{reply}");
    let line = serving.line("was refused");
    assert!(line.contains("--net db:PORT"), "{line}");
    let reply = serving.get("/?do=echo&say=x&host=127.0.0.1&port=5432");
    assert!(reply.contains("connect: EACCES\n"), "{reply}");
    let line = serving.line("127.0.0.1 at port 5432 was refused");
    assert!(line.contains("--net 127.0.0.1:5432"), "{line}");
}

#[test]
fn a_manifest_of_a_directory_grants_what_it_lists() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let dir = tempfile::tempdir().unwrap();
    fs::copy(guest("net"), dir.path().join("net.wasm")).unwrap();
    let manifest = format!(
        "[[module]]\nname = 'net'\nsource = 'net.wasm'\n[[command]]\nname = 'net'\nmodule = 'net'\nrunner = 'wcgi'\n\
         [command.annotations.wcgi.network]\nconnect = ['db:3306=127.0.0.1:{port}', '127.0.0.1:{port}']\n"
    );
    fs::write(dir.path().join("wasmer.toml"), manifest).unwrap();
    let serving = Serving::start(dir.path(), &[]);
    let reply = serving.get(&format!("/?do=many&host=127.0.0.1&port={port}"));
    assert!(reply.contains("connections 16 EMFILE\n"), "{reply}");
    // The command line's target counts.
    let serving = Serving::start(dir.path(), &["--net", "db:3306=127.0.0.1:1"]);
    let reply = serving.get("/?do=wait&host=db&port=3306");
    assert!(reply.contains("connect: ECONNREFUSED\n"), "{reply}");
}

#[test]
fn a_spinning_script_is_504_at_its_deadline() {
    let serving = Serving::start(&guest("spin"), &["--deadline", "0.2"]);
    assert!(serving.get("/").starts_with("HTTP/1.1 504"));
    let line = serving.line("deadline");
    assert!(line.contains("WARN"), "{line}");
}

#[test]
fn wordpress_asks_to_be_installed_where_it_is_mounted() {
    let package = root().join("examples/wordpress");
    assert!(package.join("app/wp-load.php").exists(), "WordPress is not there; `cargo xtask setup` fetches it");
    let (reference, php) = wcgi_tests::php();
    let cache = wcgi_tests::cache_dir();
    let add = ["runtime", "add", &reference, php.to_str().unwrap(), "--cache-dir", cache.to_str().unwrap()];
    let added = output(&add);
    assert!(added.status.success(), "{}", text(&added.stderr));
    let db = tempfile::tempdir().unwrap();
    let mapdir = format!("/db:{}", db.path().display());
    let serving = Serving::start(&package, &["--no-snapshot", "--mapdir", &mapdir, "--mount", "/blog"]);
    let response = serving.get("/blog/");
    let location = "\r\nlocation: http://localhost/blog/wp-admin/install.php\r\n";
    assert!(response.starts_with("HTTP/1.1 302") && response.contains(location), "{response}");
    assert!(db.path().join("wordpress.sqlite").exists());

    let forgotten = Serving::start(&package, &["--no-snapshot"]).get("/");
    assert!(forgotten.starts_with("HTTP/1.1 500") && forgotten.contains("--mapdir /db:./db"), "{forgotten}");
}

#[test]
fn php_edited_through_mapdir_shows_on_the_next_request() {
    let app = tempfile::tempdir().unwrap();
    let mapdir = format!("/app:{}", app.path().display());
    fs::write(app.path().join("index.php"), "<?php echo 1 + 1, ' old';").unwrap();
    let serving = Serving::start(&root().join("examples/php"), &["--mapdir", &mapdir]);
    assert!(serving.get("/").contains("2 old"));
    fs::write(app.path().join("index.php"), "<?php echo 2 + 2, ' new';").unwrap();
    assert!(serving.get("/").contains("4 new"));
}

#[test]
fn relative_host_paths_are_from_the_current_directory_and_nothing_is_created() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("db")).unwrap();
    let mut command = wcgi(&["run", "--addr", "127.0.0.1:0", "--mapdir", "/db:db", "--mapdir", "/ro:./db:ro"]);
    command.arg(guest("files")).arg("--cache-dir").arg(wcgi_tests::cache_dir()).current_dir(dir.path());
    let serving = Serving::spawn(command);
    let response = serving.get("/?op=write&path=/db/a&data=x&op=write&path=/ro/b&data=x");
    assert!(response.contains("/db/a: ok") && !response.contains("/ro/b: ok"), "{response}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn each_line_of_a_slow_script_arrives_as_it_is_printed() {
    let serving = Serving::start(&guest("ticker"), &["--deadline", "0"]);
    let mut stream = serving.connect();
    stream.write_all(b"GET /?n=3&ms=1000000 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines();
    assert!(lines.any(|line| line.unwrap() == "tick 1"));
}

/// Peak resident memory, in KiB, of a process.
#[cfg(target_os = "linux")]
fn peak_resident_kib(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn a_post_of_one_gib_leaves_the_server_under_100_mib() {
    let serving = Serving::start(&guest("count"), &["--max-body", "2GiB", "--deadline", "0"]);
    let mut stream = serving.connect();
    let size: u64 = 1 << 30;
    write!(stream, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n").unwrap();
    let chunk = vec![0; 1 << 20];
    for _ in 0..size >> 20 {
        stream.write_all(&chunk).unwrap();
    }
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    assert!(response.contains("bytes=1073741824\ncontent_length=1073741824\n"), "{response}");
    let peak = peak_resident_kib(serving.id());
    assert!(peak < 100 << 10, "{peak} KiB");
}

#[test]
fn a_cache_that_is_damaged_or_not_writable_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let serving = Serving::start(&guest("hello"), &["--cache-dir", file.to_str().unwrap()]);
    assert!(serving.line("WARN").contains("the cache of compiled modules is not used"));
    assert!(serving.get("/").starts_with("HTTP/1.1 200"));

    let cache = dir.path().join("cache");
    let arguments = ["--cache-dir", cache.to_str().unwrap()];
    assert!(Serving::start(&guest("hello"), &arguments).get("/").starts_with("HTTP/1.1 200"));
    let entry = fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
    let compiled = fs::read_dir(entry).unwrap().next().unwrap().unwrap().path();
    fs::write(&compiled, "damaged").unwrap();
    let serving = Serving::start(&guest("hello"), &arguments);
    assert!(serving.line("WARN").contains("damaged"));
    assert!(serving.get("/").starts_with("HTTP/1.1 200"));

    let serving = Serving::start(&guest("hello"), &["--no-cache"]);
    assert!(serving.get("/").starts_with("HTTP/1.1 200"));
}

#[test]
fn the_servers_environment_stays_outside() {
    let mut command = wcgi(&["run", "--addr", "127.0.0.1:0"]);
    command.arg(guest("env")).arg("--cache-dir").arg(wcgi_tests::cache_dir()).env("WCGI_TEST_SECRET", "topsecret");
    let response = Serving::spawn(command).get("/");
    assert!(!response.contains("topsecret") && !response.contains("PATH=/"), "{response}");
}

/// A process that may map little: no room for the pool, and then each instance is allocated by itself.
#[cfg(target_os = "linux")]
#[test]
fn a_short_address_space_costs_the_pool_and_nothing_else() {
    let wcgi = env!("CARGO_BIN_EXE_wcgi");
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -v 6000000 && exec \"$@\"", "sh", wcgi, "run", "--addr", "127.0.0.1:0"]);
    command.arg("--cache-dir").arg(wcgi_tests::cache_dir()).arg(root().join("examples/php"));
    let serving = Serving::spawn(command);
    let line = serving.line("WARN");
    assert!(line.contains("no room for the addresses"), "{line}");
    for _ in 0..3 {
        assert!(serving.get("/").contains("PHP 8.2."));
    }
}

#[test]
fn the_start_up_is_run_once_unless_that_is_not_wanted() {
    let module = guest("table");
    let loops_of = |options: &[&str]| {
        let answer = Serving::start(&module, options).get("/");
        let line = answer.lines().find_map(|line| line.strip_prefix("loops=")).expect("it says so");
        line.parse::<u64>().unwrap()
    };
    assert_eq!(loops_of(&[]), 0);
    assert!(loops_of(&["--no-snapshot"]) > 0);
}

#[test]
fn a_body_that_breaks_off_is_400_in_the_log() {
    let serving = Serving::start(&guest("count"), &[]);
    let mut stream = serving.connect();
    write!(stream, "POST /half HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{}", "x".repeat(50)).unwrap();
    drop(stream);
    let (mut said, mut accessed) = (false, false);
    while !(said && accessed) {
        let line = serving.line(" ");
        said |= line.contains("50 of 100 bytes");
        accessed |= line.contains("POST /half") && line.contains(" 400 ");
        assert!(!line.contains(" 200 "), "{line}");
    }
}

/// The variables of a request, by `wcgi run ARGUMENTS…` and the fields of a head.
fn variables(arguments: &[&str], fields: &str) -> Vec<String> {
    let serving = Serving::start(&guest("env"), arguments);
    let mut stream = serving.connect();
    write!(stream, "GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n{fields}\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response.lines().map(str::to_owned).collect()
}

fn has(variables: &[String], wanted: &str) -> bool {
    variables.iter().any(|variable| variable == wanted)
}

#[test]
fn https_port_and_scheme_agree_however_it_was_said() {
    for arguments in [&["--https"][..], &["--env", "HTTPS=on"], &["--env", "REQUEST_SCHEME=https"]] {
        let seen = variables(arguments, "");
        for wanted in ["HTTPS=on", "REQUEST_SCHEME=https", "SERVER_PORT=443"] {
            assert!(has(&seen, wanted), "{arguments:?}: {wanted} is not in {seen:?}");
        }
    }
    let seen = variables(
        &["--https", "--trusted-proxy", "127.0.0.1"],
        "X-Forwarded-Proto: http\r\nX-Forwarded-For: 1.2.3.4\r\n",
    );
    assert!(has(&seen, "HTTPS=on") && has(&seen, "SERVER_PORT=443"), "{seen:?}");
    // No host, and TLS ends elsewhere: this server's own port is nobody's.
    let serving = Serving::start(&guest("env"), &["--https"]);
    let mut stream = serving.connect();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    assert!(response.contains("\nSERVER_PORT=443\n"), "{response}");
}

#[test]
fn a_proxy_is_believed_if_it_is_trusted() {
    let forwarded = "X-Forwarded-For: 6.6.6.6, 203.0.113.9:77\r\nX-Forwarded-Proto: https\r\n";
    let seen = variables(&["--trusted-proxy", "10.0.0.0/8", "--trusted-proxy", "127.0.0.0/8"], forwarded);
    for wanted in ["REMOTE_ADDR=203.0.113.9", "HTTPS=on", "REQUEST_SCHEME=https", "SERVER_PORT=443"] {
        assert!(has(&seen, wanted), "{wanted} is not in {seen:?}");
    }
    assert!(!seen.iter().any(|variable| variable.starts_with("REMOTE_PORT=")), "{seen:?}");
    let seen = variables(
        &["--trusted-proxy", "127.0.0.1"],
        &format!("Forwarded: for=\"[2001:db8::1]\";proto=http\r\n{forwarded}"),
    );
    assert!(has(&seen, "REMOTE_ADDR=2001:db8::1") && has(&seen, "REQUEST_SCHEME=http"), "{seen:?}");
    for arguments in [&[][..], &["--trusted-proxy", "10.0.0.0/8"]] {
        let seen = variables(arguments, forwarded);
        assert!(has(&seen, "REMOTE_ADDR=127.0.0.1") && has(&seen, "SERVER_PORT=80"), "{seen:?}");
    }
    let serving = Serving::start(&guest("hello"), &["--trusted-proxy", "127.0.0.1"]);
    let mut stream = serving.connect();
    write!(stream, "GET /seen HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{forwarded}\r\n").unwrap();
    stream.read_to_string(&mut String::new()).unwrap();
    assert!(serving.line("GET /seen").contains(" 203.0.113.9 \"GET "));
}

#[test]
fn credentials_are_passed_if_that_was_said() {
    let fields = "Authorization: Basic dTpw\r\n";
    assert!(has(&variables(&["--pass-authorization"], fields), "HTTP_AUTHORIZATION=Basic dTpw"));
    assert!(!variables(&[], fields).iter().any(|variable| variable.starts_with("HTTP_AUTHORIZATION")));
}

#[test]
fn a_manifest_can_say_what_is_in_front_of_it() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(guest("env"), dir.path().join("env.wasm")).unwrap();
    let manifest = "[[module]]\nname = 'env'\nsource = 'env.wasm'\n[[command]]\nname = 'env'\nmodule = 'env'\n\
        runner = 'wcgi'\n[command.annotations.wcgi]\ndialect = 'wcgi'\nhttps = true\npass_authorization = true\n\
        trusted_proxies = ['127.0.0.1']\n";
    fs::write(dir.path().join("wasmer.toml"), manifest).unwrap();
    let serving = Serving::start(dir.path(), &[]);
    let line = serving.line("WARN");
    assert!(line.contains("wasmer.toml:9") && line.contains("rfc-3875"), "{line}");
    let mut stream = serving.connect();
    let fields = "Host: x\r\nConnection: close\r\nAuthorization: Basic dTpw\r\nX-Forwarded-For: 203.0.113.9\r\n";
    write!(stream, "GET / HTTP/1.1\r\n{fields}\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    for wanted in ["HTTPS=on", "SERVER_PORT=443", "HTTP_AUTHORIZATION=Basic dTpw", "REMOTE_ADDR=203.0.113.9"] {
        assert!(response.lines().any(|line| line == wanted), "{wanted}: {response}");
    }
}

#[test]
fn short_addresses_are_every_address_and_this_machine() {
    for (addr, ips) in [(":0", &["::", "0.0.0.0"][..]), ("0", &["127.0.0.1"])] {
        let mut command = wcgi(&["run", "--addr", addr, "--cache-dir"]);
        command.arg(wcgi_tests::cache_dir()).arg(guest("hello"));
        let mut serving = Serving::spawn(command);
        assert!(ips.contains(&serving.addr.ip().to_string().as_str()), "{addr}: {}", serving.addr);
        serving.addr.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        assert!(serving.get("/").starts_with("HTTP/1.1 200"), "{addr}");
    }
}

#[test]
fn a_mount_that_was_moved_away_is_named_in_the_log_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (mount, away) = (dir.path().join("data"), dir.path().join("away"));
    fs::create_dir(&mount).unwrap();
    let serving = Serving::start(&guest("files"), &["--mapdir", &format!("/d:{}", mount.display())]);
    assert!(serving.get("/?op=list&path=/d").starts_with("HTTP/1.1 200"));
    fs::rename(&mount, &away).unwrap();
    let response = serving.get("/?op=list&path=/d");
    assert!(response.starts_with("HTTP/1.1 500") && response.ends_with("\r\n\r\nInternal Server Error"), "{response}");
    let line = serving.line("ERROR");
    assert!(line.contains(&format!("{} for the mount /d", mount.display())) && line.contains("hint="), "{line}");
    fs::rename(&away, &mount).unwrap();
    assert!(serving.get("/?op=list&path=/d").starts_with("HTTP/1.1 200"));
}
