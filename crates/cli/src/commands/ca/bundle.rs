//! `countersign ca bundle`.

use std::path::PathBuf;

use clap::Args;
use pki::Certificate;
use pki::verify::TrustBundle;

use crate::commands::join::believed;
use crate::context::Context;
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::home::Home;
use crate::http::Site;
use crate::input;
use crate::material::{Believed, write_anchors};

/// Print whom those believe who believe the authority: its root, or both while it changes its root
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign ca bundle > bundle.pem
      # for programs that are told whom to believe by a file
  countersign ca bundle --ca https://ca.acme.test:8444 --out /etc/mtls/rootCA.pem
      # brings a file up to date, from anywhere; roots of others in it stay")]
pub(crate) struct Bundle {
    /// The authority at this address [default: the one in this home]
    #[arg(long, value_name = "URL")]
    ca: Option<String>,

    /// With --ca: the root that the authority's own certificate leads to [default: the file of --out, else rootCA.pem in the home]
    #[arg(long, value_name = "FILE", requires = "ca")]
    ca_root: Option<PathBuf>,

    /// Bring this file up to date, instead of printing
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Bundle {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let believed = self.believed(context)?;
        let Some(file) = &self.out else {
            let pem: String = believed.anchors.iter().map(Certificate::to_pem).collect();
            context.data(pem);
            return Ok(Exit::Done);
        };
        let changed = write_anchors(file, &believed)?;
        let count = believed.anchors.len();
        context.say(match changed {
            true => format!("{} was brought up to date: the authority has {count} root(s)", file.display()),
            false => format!("{} is up to date: the authority has {count} root(s)", file.display()),
        });
        Ok(Exit::Done)
    }

    fn believed(&self, context: &Context) -> Result<Believed, Failure> {
        let Some(base) = &self.ca else {
            let store = Home::of(context)?.open_memory()?;
            let lines = ca::line::known(&store).or_usage()?;
            return Ok(Believed {
                anchors: lines.anchors().anchors().to_vec(),
                former: lines.former_anchors(),
            });
        };
        let root = match (&self.ca_root, &self.out) {
            (Some(file), _) => file.clone(),
            (None, Some(file)) if file.exists() => file.clone(),
            _ => Home::of(context)?.anchor(),
        };
        let site = Site::new(base, TrustBundle::new(input::certificates(&root)?), None)?;
        believed(&site)?
            .ok_or_else(|| Failure::refused(format!("the authority at {base} does not say whom to believe")))
    }
}
