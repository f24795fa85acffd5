//! `countersign trust`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::context::{BAD, Context, DIM, GOOD};
use crate::failure::{Exit, Failure, Outcome};
use crate::input;
use crate::trust::{self, Anchor, Kind, Machine, Mark, Report, Store, Verdict};

/// Make this machine's programs believe the authority, or stop
#[derive(Debug, Subcommand)]
#[command(before_help = "\
Examples:
  countersign trust status
      # who believes the authority; changes nothing
  sudo -E countersign trust install
      # the system, browsers and Java believe it
  countersign trust install --only nss
      # only Firefox and Chromium of this user
  countersign trust uninstall
      # nobody believes it any more")]
pub(crate) enum Trust {
    /// Say which trust stores hold the anchor; changes nothing
    Status(Selection),
    /// Put the anchor into the trust stores
    Install(Selection),
    /// Take the anchor out of the trust stores
    Uninstall(Selection),
}

/// Which stores, and which anchor.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// Only stores of this kind: system, nss (Firefox and Chromium) or java
    #[arg(long, value_name = "KIND")]
    only: Vec<Kind>,

    /// The anchor's file [default: that of the local authority]
    #[arg(long, value_name = "FILE", alias = "cacert")]
    ca: Option<PathBuf>,

    /// Also say which programs were run
    #[arg(short, long)]
    verbose: bool,

    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
}

impl Trust {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match self {
            Trust::Status(selection) => selection.run(context, |machine, store, anchor| Report {
                verdict: Verdict::Status(trust::status(machine, &store, anchor)),
                store,
                steps: Vec::new(),
            }),
            Trust::Install(selection) => selection.run(context, |machine, store, anchor| {
                let mut steps = Vec::new();
                let outcome = trust::install(machine, &store, anchor, &mut |step| steps.push(step.clone()));
                Report { verdict: Verdict::Installed(outcome), store, steps }
            }),
            Trust::Uninstall(selection) => selection.run(context, |machine, store, anchor| {
                let mut steps = Vec::new();
                let outcome = trust::uninstall(machine, &store, anchor, &mut |step| steps.push(step.clone()));
                Report { verdict: Verdict::Uninstalled(outcome), store, steps }
            }),
        }
    }
}

impl Selection {
    fn run(self, context: &Context, act: impl Fn(&Machine, Store, &Anchor) -> Report) -> Outcome {
        let machine = Machine::from_environment();
        let stores: Vec<Store> = trust::discover(&machine)
            .into_iter()
            .filter(|store| self.only.is_empty() || self.only.contains(&store.kind()))
            .collect();
        for remark in trust::remarks(&machine, &stores) {
            context.say(format!("{DIM}{remark}{DIM:#}"));
        }
        // Two while the authority changes its root.
        let anchors = self.anchors(context)?;
        let mut all = Vec::new();
        for (name, anchor) in &anchors {
            let reports: Vec<Report> =
                stores.iter().map(|store| act(&machine, store.clone(), anchor)).collect();
            if !self.json {
                if anchors.len() > 1 {
                    context.say(name);
                }
                for line in trust::render(&reports, &machine.home, self.verbose) {
                    let style = match line.mark {
                        Mark::Good => GOOD,
                        Mark::Bad => BAD,
                        Mark::Neutral | Mark::Detail => DIM,
                    };
                    context.data(format!("{style}{line}{style:#}\n"));
                }
            }
            all.extend(reports);
        }
        let reports = all;
        if self.json {
            context.json(&trust::json(&reports));
        }
        let all_succeeded = !reports.is_empty() && reports.iter().all(Report::succeeded);
        Ok(if all_succeeded { Exit::Done } else { Exit::Refused })
    }

    /// The anchors, with their names.
    fn anchors(&self, context: &Context) -> Result<Vec<(String, Anchor)>, Failure> {
        let file = match &self.ca {
            Some(file) => file.clone(),
            None => {
                let file = context.home()?.join(crate::material::ANCHOR_FILE);
                if !file.exists() {
                    return Err(Failure::usage(format!(
                        "there is no authority in {}",
                        context.home()?.display()
                    ))
                    .hint("countersign init")
                    .hint("countersign trust install --ca rootCA.pem"));
                }
                file
            }
        };
        let absolute = std::path::absolute(&file).unwrap_or_else(|_| Path::new(&file).to_owned());
        input::certificates(&file)?
            .into_iter()
            .map(|certificate| {
                if !certificate.is_ca() {
                    return Err(Failure::refused(format!(
                        "'{}' in {} is no CA, so believing it would mean nothing",
                        certificate.short_name(),
                        file.display()
                    )));
                }
                let full = certificate.subject().short();
                let name = full.strip_prefix("countersign ").unwrap_or(&full);
                let der = certificate.der().to_vec();
                let anchor = Anchor::new(name, der, certificate.sha256(), absolute.clone());
                Ok((full, anchor))
            })
            .collect()
    }
}
