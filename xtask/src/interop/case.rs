//! One interop case as its file describes it: the claim, and the programs of others it needs.
//!
//! A case is a bash script `interop/cases/CLAIM-IN-WORDS.sh` that starts so:
//!
//! ```text
//! #!/usr/bin/env bash
//! # A revoked client is refused by the server, and curl says so.
//! # needs: curl openssl
//! ```

use std::path::{Path, PathBuf};

use anyhow::Context;

/// Where the cases are, from the repository's root.
pub(crate) const FOLDER: &str = "interop/cases";

/// What the head of a case says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The claim, as a sentence.
    pub(crate) claim: String,
    /// Programs that must be there, by the names of [`crate::peers::PEERS`].
    pub(crate) needs: Vec<String>,
}

/// A case that can be run.
#[derive(Debug)]
pub(crate) struct Case {
    /// The file's name without its ending.
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    pub(crate) head: Head,
}

/// The line every case starts with.
pub(crate) const FIRST_LINE: &str = "#!/usr/bin/env bash";

/// What a case that needs no program of others writes behind `# needs:`.
pub(crate) const NOTHING: &str = "nothing";

/// Reads the head: the comment lines below the first, up to the first line that is none.
pub(crate) fn parse_head(text: &str) -> Result<Head, String> {
    let mut lines = text.lines();
    if lines.next() != Some(FIRST_LINE) {
        return Err(format!("the first line must be `{FIRST_LINE}`"));
    }
    let mut claim = Vec::new();
    let mut needs = None;
    for line in lines.map_while(|line| line.strip_prefix('#')).map(str::trim) {
        match line.strip_prefix("needs:") {
            Some(list) if needs.is_none() => {
                needs = Some(list.split_whitespace().map(str::to_owned).collect())
            }
            Some(_) => return Err("there are two `# needs:` lines".to_owned()),
            None if !line.is_empty() && !line.starts_with("shellcheck ") => claim.push(line),
            None => {}
        }
    }
    let claim = claim.join(" ");
    if !claim.ends_with('.') {
        return Err(
            "below the first line a comment must say the claim, as a sentence with its full stop".to_owned()
        );
    }
    let mut needs: Vec<String> =
        needs.ok_or_else(|| format!("a line `# needs: PROGRAM…` is missing (`# needs: {NOTHING}` if so)"))?;
    if needs.is_empty() {
        return Err(format!("`# needs:` names no program; write `# needs: {NOTHING}` if so"));
    }
    if needs == [NOTHING] {
        needs.clear();
    }
    Ok(Head { claim, needs })
}

/// All cases, by name. A case whose head cannot be read is an error: running it would skip what it needs.
pub(crate) fn all(root: &Path) -> anyhow::Result<Vec<Case>> {
    let folder = root.join(FOLDER);
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("{FOLDER} cannot be read"))? {
        let file = entry?.path();
        if file.extension().is_none_or(|extension| extension != "sh") {
            continue;
        }
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).with_context(|| format!("{FOLDER}/{name}.sh"))?;
        let head = parse_head(&text).map_err(|reason| anyhow::anyhow!("{FOLDER}/{name}.sh: {reason}"))?;
        cases.push(Case { name, file, head });
    }
    cases.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_gives_the_claim_and_the_programs() {
        let text =
            "#!/usr/bin/env bash\n# Curl gets in,\n# and says so.\n# needs: curl node\nset -e\n# needs: x\n";
        let head =
            Head { claim: "Curl gets in, and says so.".into(), needs: vec!["curl".into(), "node".into()] };
        assert_eq!(parse_head(text), Ok(head));
    }

    #[test]
    fn case_that_needs_nothing_says_so() {
        let head = parse_head("#!/usr/bin/env bash\n# It answers.\n# needs: nothing\n");
        assert_eq!(head.map(|head| head.needs), Ok(Vec::new()));
    }

    #[test]
    fn head_without_first_line_claim_or_needs_is_refused_with_the_remedy() {
        let refused = |text: &str| parse_head(text).err().unwrap_or_default();
        assert!(refused("# It answers.\n# needs: curl\n").contains("#!/usr/bin/env bash"));
        assert!(refused("#!/usr/bin/env bash\n# needs: curl\n").contains("claim"));
        assert!(
            refused("#!/usr/bin/env bash\n# It answers.\n\n# needs: curl\n").contains("`# needs: PROGRAM…`")
        );
        assert!(refused("#!/usr/bin/env bash\n# It answers.\n# needs:\n").contains("`# needs: nothing`"));
    }
}
