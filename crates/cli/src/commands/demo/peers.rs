//! The programs people know, run for real: curl and Node.js against our server, and curl against a Node.js server
//! that runs on our certificates.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A Node.js server that asks for a client certificate and says whose it got.
pub(super) const NODE_SERVER: &str = r#"import https from 'node:https';
import fs from 'node:fs';

const server = https.createServer({
  cert: fs.readFileSync('localhost.pem'),
  key: fs.readFileSync('localhost-key.pem'),
  ca: fs.readFileSync('rootCA.pem'),   // whose client certificates count
  requestCert: true,                   // ask the client for one
  rejectUnauthorized: true,            // and do without no longer
}, (request, response) => {
  const { subject } = request.socket.getPeerCertificate();
  response.end(`hello, ${subject.CN}, says Node.js\n`);
});
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1',
  () => console.log(server.address().port));
"#;

/// A Node.js client with a client certificate.
pub(super) const NODE_CLIENT: &str = r#"import https from 'node:https';
import fs from 'node:fs';

https.get(process.argv[2], {
  ca: fs.readFileSync('rootCA.pem'),   // whose server certificates count
  cert: fs.readFileSync('alice.pem'),
  key: fs.readFileSync('alice-key.pem'),
}, response => {
  response.setEncoding('utf8').on('data', text => process.stdout.write(text));
}).on('error', error => {
  console.error(error.message);
  process.exitCode = 1;
});
"#;

/// What a real program came to.
#[derive(Debug)]
pub(super) struct PeerRun {
    /// Who talked to whom, such as `curl to Node.js`.
    pub(super) title: &'static str,
    /// What was typed.
    pub(super) command: String,
    /// What it printed first, on whichever output.
    pub(super) said: String,
    /// Whether it was let in and greeted as alice.
    pub(super) as_expected: bool,
}

/// Which of the programs are on this machine.
#[derive(Debug)]
pub(super) struct Peers {
    pub(super) curl: Option<PathBuf>,
    pub(super) node: Option<PathBuf>,
}

impl Peers {
    /// Looks on PATH.
    pub(super) fn find() -> Self {
        Peers { curl: find_program("curl"), node: find_program("node") }
    }

    /// Runs every pair there is, in `directory`, which holds the certificates.
    pub(super) fn run(&self, directory: &Path, url: &str) -> Vec<PeerRun> {
        let mut runs = Vec::new();
        if let Some(curl) = &self.curl {
            runs.push(ask("curl to countersign", curl, &curl_arguments(url), directory));
        }
        if let Some(node) = &self.node {
            let arguments = ["node-client.mjs", url].map(OsString::from);
            runs.push(ask("Node.js to countersign", node, &arguments, directory));
            if let Some(curl) = &self.curl {
                runs.push(curl_to_node(curl, node, directory));
            }
        }
        runs
    }
}

fn curl_arguments(url: &str) -> Vec<OsString> {
    // -q: no .curlrc; the demo shows what this command line does.
    let words = ["-q", "-sS", "--max-time", "20", "--noproxy", "*", "--cacert", "rootCA.pem"];
    let ours = ["--cert", "alice.pem", "--key", "alice-key.pem", url];
    words.into_iter().chain(ours).map(OsString::from).collect()
}

fn curl_to_node(curl: &Path, node: &Path, directory: &Path) -> PeerRun {
    let title = "curl to Node.js";
    match NodeServer::start(node, directory) {
        Ok(server) => {
            let url = format!("https://localhost:{}/", server.port);
            ask(title, curl, &curl_arguments(&url), directory)
        }
        Err(error) => PeerRun {
            title,
            command: "node node-server.mjs".to_owned(),
            said: format!("the Node.js server did not start: {error}"),
            as_expected: false,
        },
    }
}

fn ask(title: &'static str, program: &Path, arguments: &[OsString], directory: &Path) -> PeerRun {
    let output = command(program, directory).args(arguments).stdin(Stdio::null()).output();
    let (said, as_expected) = match output {
        Ok(output) => {
            let text = if output.stdout.is_empty() { &output.stderr } else { &output.stdout };
            let text = String::from_utf8_lossy(text);
            let first = text.lines().next().unwrap_or("nothing").to_owned();
            let greeted = output.status.success() && first.starts_with("hello, alice");
            (first, greeted)
        }
        Err(error) => (error.to_string(), false),
    };
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // What matters of the arguments; the rest keeps the person's own configuration out.
    let noise = ["-q", "-sS", "--max-time", "20", "--noproxy", "*"];
    let shown =
        arguments.iter().map(|a| a.to_string_lossy().into_owned()).filter(|a| !noise.contains(&a.as_str()));
    let command = std::iter::once(name).chain(shown).collect::<Vec<_>>().join(" ");
    PeerRun { title, command, said, as_expected }
}

/// The program without the person's proxies, options and credentials.
fn command(program: &Path, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", directory);
    command.current_dir(directory);
    command
}

/// A Node.js server that ends with its value.
struct NodeServer {
    child: Child,
    port: u16,
}

impl NodeServer {
    fn start(node: &Path, directory: &Path) -> Result<Self, std::io::Error> {
        let mut child = command(node, directory)
            .arg("node-server.mjs")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        let read = match child.stdout.take() {
            Some(stdout) => BufReader::new(stdout).read_line(&mut line),
            None => Ok(0),
        };
        let server = NodeServer { port: line.trim().parse().unwrap_or(0), child };
        match read {
            Ok(_) if server.port != 0 => Ok(server),
            Ok(_) => Err(std::io::Error::other("it ended without naming its port")),
            Err(error) => Err(error),
        }
    }
}

impl Drop for NodeServer {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn find_program(name: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|candidate| {
        std::fs::metadata(candidate).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    })
}
