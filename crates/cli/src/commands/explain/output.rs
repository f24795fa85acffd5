//! What comes out of `explain`: text, JSON, a page, a transcript, a capture.

use std::path::{Path, PathBuf};

use clap::Args;
use explain::Finding;
use explain::capture::{KeyLog, Transcript, write};
use explain::render::{Shown, conversations_json, html, ladder, message_text};
use explain::tls::Conversation;
use keys::file::{Replace, write_private};

use crate::context::{Context, colour_on_stdout, width};
use crate::failure::{Exit, Failure, OrFail as _, Outcome};

/// What is wanted.
#[derive(Debug, Clone, Args)]
pub(crate) struct Output {
    /// Each message with all its bytes and fields
    #[arg(long, conflicts_with = "json", help_heading = "What comes out")]
    bytes: bool,

    /// One message alone, by its number, with all its bytes and fields
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["json", "bytes"], help_heading = "What comes out")]
    message: Option<usize>,

    /// Print everything as JSON
    #[arg(long, help_heading = "What comes out")]
    json: bool,

    /// Write one page that needs no network and no JavaScript
    #[arg(long, value_name = "FILE", help_heading = "What comes out")]
    html: Option<PathBuf>,

    /// Save the conversation with its secrets, for --from
    #[arg(long, value_name = "FILE", help_heading = "What comes out")]
    save: Option<PathBuf>,

    /// Write the conversation with its secrets as a capture, which Wireshark opens decrypted
    #[arg(long, value_name = "FILE", help_heading = "What comes out")]
    pcapng: Option<PathBuf>,

    /// Also show secrets and application data; whoever sees them can read the connection
    #[arg(long, help_heading = "What comes out")]
    secrets: bool,

    /// Replace files that exist
    #[arg(long, help_heading = "What comes out")]
    force: bool,
}

impl Output {
    /// The same for the connection of this number: behind the first, files get a number of their own,
    /// `handshake-2.pcapng`.
    pub(super) fn numbered(&self, number: usize) -> Self {
        let name = |path: &Option<PathBuf>| {
            let path = path.as_ref()?;
            if number < 2 {
                return Some(path.clone());
            }
            let mut file = path.file_stem().unwrap_or_default().to_os_string();
            file.push(format!("-{number}"));
            if let Some(extension) = path.extension() {
                file.push(".");
                file.push(extension);
            }
            Some(path.with_file_name(file))
        };
        Output { html: name(&self.html), save: name(&self.save), pcapng: name(&self.pcapng), ..self.clone() }
    }

    /// Whether several connections fit into it.
    pub(super) fn takes_many(&self) -> bool {
        self.json || self.html.is_some()
    }

    /// Explains and shows. `verdict` is the recorder's on the server's certificate.
    pub(super) fn show(
        &self,
        context: &Context,
        transcripts: &[Transcript],
        verdict: Option<Finding>,
    ) -> Outcome {
        let mut conversations: Vec<Conversation> = transcripts.iter().map(explain::tls::explain).collect();
        if let (Some(verdict), Some(conversation)) = (verdict, conversations.first_mut())
            && conversation.findings.iter().all(|finding| finding.code != verdict.code)
        {
            conversation.findings.insert(0, verdict);
        }
        let mut secrets = KeyLog::default();
        for transcript in transcripts {
            for (random, found) in transcript.secrets.iter() {
                secrets.insert_all(*random, found);
            }
        }
        let shown = Shown { secrets: self.secrets.then_some(&secrets) };
        self.files(context, transcripts, &conversations, shown)?;
        if self.json {
            context.json(&conversations_json(&conversations, shown));
        } else if let Some(number) = self.message {
            let text = conversations.first().and_then(|conversation| {
                message_text(conversation, number, width(), colour_on_stdout(), shown)
            });
            match text {
                Some(text) => context.data(text),
                None => {
                    let last = conversations.first().map_or(0, |conversation| conversation.messages.len());
                    return Err(Failure::usage(format!(
                        "there is no message {number}: they are numbered 1 to {last}"
                    )));
                }
            }
        } else if self.html.is_none() || self.bytes {
            for (index, conversation) in conversations.iter().enumerate() {
                if index > 0 {
                    context.data(format!("\n{}\n\n", "═".repeat(width())));
                }
                context.data(ladder(conversation, width(), colour_on_stdout(), self.bytes, shown));
            }
        }
        let found = conversations.iter().any(|conversation| !conversation.findings.is_empty());
        Ok(if found { Exit::Refused } else { Exit::Done })
    }

    fn files(
        &self,
        context: &Context,
        transcripts: &[Transcript],
        conversations: &[Conversation],
        shown: Shown<'_>,
    ) -> Result<(), Failure> {
        let write = |path: &Path, bytes: &[u8], what: &str| {
            let replace = if self.force { Replace::Yes } else { Replace::No };
            write_private(path, bytes, replace).or_usage().map_err(|failure| match path.exists() {
                true if !self.force => failure.hint("--force replaces it"),
                _ => failure,
            })?;
            context.say(format!("{what} {}", path.display()));
            Ok::<_, Failure>(())
        };
        if let Some(path) = &self.html {
            write(path, html(conversations, shown).as_bytes(), "the page is in")?;
        }
        if self.save.is_none() && self.pcapng.is_none() {
            return Ok(());
        }
        let [transcript] = transcripts else {
            return Err(Failure::usage(
                "--save and --pcapng take one connection: choose it with --connection NUMBER",
            ));
        };
        if let Some(path) = &self.save {
            write(path, &transcript.to_bytes(), "saved, with its secrets, for its owner alone:")?;
        }
        if let Some(path) = &self.pcapng {
            write(
                path,
                &write::pcapng(transcript),
                "a capture with its secrets embedded, for its owner alone:",
            )?;
        }
        Ok(())
    }
}
