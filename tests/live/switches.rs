//! Switches of the `docker compose` command line, and the variables that have the same effect.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bottle_migrate::compose::{Document, Switches};
use rayon::prelude::*;

use crate::compose::{Call, meaning, understood};

/// Files of a project, whose `compose.yaml` shows what each switch does.
const FILES: &[(&str, &str)] = &[
    (
        "project/compose.yaml",
        "services:\n  \
           a:\n    image: 'i:${TAG:-none}'\n    environment: [SHARED, ONLY, 'N=${COMPOSE_PROJECT_NAME}', 'P=${COMPOSE_PROFILES-unset}', 'R=${REF-unset}']\n    \
             env_file: [{path: vars.env, required: false}]\n    volumes: ['./data:/data', 'vol:/v']\n  \
           dev: {image: d, profiles: [dev]}\n  test: {image: t, profiles: [test]}\n  both: {image: b, profiles: [dev, test]}\n\
         volumes: {vol: }\n",
    ),
    ("project/named.yaml", "name: written\n"),
    ("project/.env", "TAG=dot\nSHARED=dot\nONLY=dot\n"),
    ("project/vars.env", "V=${TAG}\nSHARED=file\n"),
    ("other/.env", "TAG=other\n"),
    ("other/vars.env", "V=other\n"),
    ("one.env", "TAG=one\nSHARED=one\n"),
    ("two.env", "REF=${TAG}-two\nTAG=two\n"),
    ("profiles.env", "COMPOSE_PROFILES=dev\n"),
    ("name.env", "COMPOSE_PROJECT_NAME=fromfile\n"),
    ("disabled/.env", "COMPOSE_DISABLE_ENV_FILE=1\nTAG=disabled\n"),
    ("odd/.env", "COMPOSE_DISABLE_ENV_FILE=perhaps\nTAG=odd\n"),
    (
        "listed/.env",
        "COMPOSE_ENV_FILES=one.env\nTAG=listed\nCOMPOSE_PROFILES=test\nCOMPOSE_PROJECT_NAME=listed\n",
    ),
    ("Some Folder/.env", "TAG=some\n"),
    ("broken.env", "A B=c\n"),
];

const PROJECT: &[&str] = &["project/compose.yaml"];
const NAMED: &[&str] = &["project/compose.yaml", "project/named.yaml"];

/// Files, switches, and variables of the process.
type Row = (&'static [&'static str], &'static [&'static str], &'static [(&'static str, &'static str)]);

const ROWS: &[Row] = &[
    (PROJECT, &[], &[]),
    (NAMED, &[], &[]),
    // Environment files.
    (PROJECT, &["--env-file", "one.env"], &[]),
    (PROJECT, &["--env-file", "one.env", "--env-file", "two.env"], &[]),
    (PROJECT, &["--env-file", "two.env", "--env-file", "one.env"], &[]),
    (PROJECT, &["--env-file", "one.env"], &[("TAG", "process")]),
    (PROJECT, &["--env-file", "absent.env"], &[]),
    (PROJECT, &["--env-file", "broken.env"], &[]),
    (PROJECT, &["--env-file", "project"], &[]),
    (PROJECT, &["--env-file", "profiles.env"], &[]),
    (PROJECT, &["--env-file", "name.env"], &[]),
    (PROJECT, &[], &[("COMPOSE_ENV_FILES", "one.env")]),
    (PROJECT, &[], &[("COMPOSE_ENV_FILES", "one.env,two.env")]),
    (PROJECT, &[], &[("COMPOSE_ENV_FILES", ",one.env,,")]),
    (PROJECT, &[], &[("COMPOSE_ENV_FILES", " one.env")]),
    (PROJECT, &[], &[("COMPOSE_ENV_FILES", "")]),
    (PROJECT, &[], &[("COMPOSE_ENV_FILES", "absent.env")]),
    (PROJECT, &["--env-file", "one.env"], &[("COMPOSE_ENV_FILES", "absent.env")]),
    (PROJECT, &[], &[("COMPOSE_DISABLE_ENV_FILE", "1")]),
    (PROJECT, &[], &[("COMPOSE_DISABLE_ENV_FILE", "true")]),
    (PROJECT, &[], &[("COMPOSE_DISABLE_ENV_FILE", "False")]),
    (PROJECT, &[], &[("COMPOSE_DISABLE_ENV_FILE", "yes")]),
    (PROJECT, &[], &[("COMPOSE_DISABLE_ENV_FILE", "")]),
    (PROJECT, &["--env-file", "one.env"], &[("COMPOSE_DISABLE_ENV_FILE", "1")]),
    (PROJECT, &["--env-file", "one.env"], &[("COMPOSE_DISABLE_ENV_FILE", "yes")]),
    (PROJECT, &["--project-directory", "disabled"], &[]),
    (PROJECT, &["--project-directory", "disabled"], &[("COMPOSE_DISABLE_ENV_FILE", "0")]),
    (PROJECT, &["--project-directory", "odd"], &[]),
    (PROJECT, &["--project-directory", "listed"], &[]),
    // Profiles.
    (PROJECT, &["--profile", "dev"], &[]),
    (PROJECT, &["--profile", "dev", "--profile", "test"], &[]),
    (PROJECT, &["--profile", "dev,test"], &[]),
    (PROJECT, &["--profile", "*"], &[]),
    (PROJECT, &["--profile", "absent"], &[]),
    (PROJECT, &["--profile", ""], &[("COMPOSE_PROFILES", "dev")]),
    (PROJECT, &["--profile", "test"], &[("COMPOSE_PROFILES", "dev")]),
    (PROJECT, &[], &[("COMPOSE_PROFILES", "dev")]),
    (PROJECT, &[], &[("COMPOSE_PROFILES", " dev , test ")]),
    (PROJECT, &[], &[("COMPOSE_PROFILES", "*")]),
    (PROJECT, &[], &[("COMPOSE_PROFILES", "")]),
    (PROJECT, &["--env-file", "profiles.env"], &[("COMPOSE_PROFILES", "test")]),
    (PROJECT, &["--env-file", "profiles.env", "--profile", "test"], &[]),
    // Where the project is.
    (PROJECT, &["--project-directory", "other"], &[]),
    (PROJECT, &["--project-directory", "./other/"], &[]),
    (PROJECT, &["--project-directory", "absent"], &[]),
    (PROJECT, &["--project-directory", ""], &[]),
    (PROJECT, &["--project-directory", "Some Folder"], &[]),
    (PROJECT, &["--project-directory", "other", "--env-file", "one.env"], &[]),
    (&["other/../project/compose.yaml"], &["--project-directory", "other"], &[]),
    // Names.
    (PROJECT, &["--project-name", "given"], &[]),
    (NAMED, &["--project-name", "given"], &[]),
    (PROJECT, &["--project-name", ""], &[]),
    (PROJECT, &["--project-name", "Given"], &[]),
    (PROJECT, &["--project-name", "_given"], &[]),
    (PROJECT, &["--project-name", "a b"], &[]),
    (PROJECT, &[], &[("COMPOSE_PROJECT_NAME", "variable")]),
    (NAMED, &[], &[("COMPOSE_PROJECT_NAME", "variable")]),
    (NAMED, &[], &[("COMPOSE_PROJECT_NAME", "")]),
    (PROJECT, &[], &[("COMPOSE_PROJECT_NAME", "Variable")]),
    (PROJECT, &["--project-name", "given"], &[("COMPOSE_PROJECT_NAME", "Variable")]),
    (NAMED, &["--env-file", "name.env"], &[]),
    // Files that are named come before these.
    (PROJECT, &[], &[("COMPOSE_FILE", "absent.yaml")]),
    (PROJECT, &[], &[("COMPOSE_FILE", "a.yaml,b.yaml"), ("COMPOSE_PATH_SEPARATOR", ",")]),
];

fn switches(arguments: &[&str]) -> Switches {
    let mut switches = Switches::default();
    for pair in arguments.chunks(2) {
        match pair {
            ["--env-file", file] => switches.env_files.push(PathBuf::from(file)),
            ["--profile", name] => switches.profiles.push((*name).to_owned()),
            ["--project-directory", folder] => switches.project_directory = Some(PathBuf::from(folder)),
            ["--project-name", name] => switches.project_name = Some((*name).to_owned()),
            other => panic!("{other:?}"),
        }
    }
    switches
}

fn write(folder: &Path) {
    for (path, text) in FILES {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

#[test]
fn switches_of_compose_mean_what_they_mean_to_compose() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let judged: Vec<Result<Option<Document>, String>> = ROWS
        .par_iter()
        .map(|(files, arguments, environment)| {
            let call = Call {
                folder: folder.path().to_owned(),
                files: files.iter().map(PathBuf::from).collect(),
                switches: switches(arguments),
                environment: environment.to_vec(),
            };
            let judged = match (call.ours(), call.model()) {
                (Ok(ours), Ok(model)) => understood(model).and_then(|theirs| {
                    call.difference(&ours, &theirs).map_or(Ok(Some(meaning(&theirs))), Err)
                }),
                (Err(_), Err(_)) => Ok(None),
                (Ok(_), Err(refusal)) | (Err(refusal), Ok(_)) => Err(refusal),
            };
            judged.map_err(|fault| format!("{files:?} {arguments:?} {environment:?}: {fault}"))
        })
        .collect();
    let faults: Vec<&str> =
        judged.iter().filter_map(|judged| judged.as_ref().err()).map(String::as_str).collect();
    assert!(faults.is_empty(), "{} differ:\n{}", faults.len(), faults.join("\n"));
    // The control: the switches do something.
    let meanings: BTreeSet<String> =
        judged.iter().flatten().flatten().map(|meaning| format!("{meaning:?}")).collect();
    assert!(meanings.len() > 20, "only {} meanings", meanings.len());
}
