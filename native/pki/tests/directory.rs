//! What is served beside links. Knock-outs: names_keeper, names_register, names_learn, status_tool.
#![allow(clippy::unwrap_used)]

use merlon_pki::{
    may_keep, may_learn, may_register, may_view, BindRules, Error, Identity, NodeName,
};

fn name(text: &str) -> NodeName {
    NodeName::parse(text).unwrap()
}

fn node(text: &str) -> Identity {
    Identity::node("c", &name(text)).unwrap()
}

fn tool(host: &str) -> Identity {
    Identity::cli("c", host, "root").unwrap()
}

fn registers(owner: &Identity, text: &str) -> bool {
    may_register(owner, &name(text), &BindRules::default()).is_ok()
}

fn learns(asker: &Identity, owner: &Identity, text: &str) -> bool {
    may_learn(asker, owner, &name(text), &BindRules::default())
}

#[test]
fn a_tool_keeps_no_names() {
    assert_eq!(may_keep(&node("a@h")), Ok(()));
    assert_eq!(may_keep(&tool("h")), Err(Error::NotANode));
}

#[test]
fn a_node_does_not_see_the_status_page() {
    assert_eq!(may_view(&tool("h")), Ok(()));
    assert_eq!(may_view(&node("a@h")), Err(Error::NotATool));
}

#[test]
fn names_are_registered_by_those_whom_they_are_bound_to() {
    assert!(registers(&node("a@h"), "a@h"));
    assert!(registers(&node("rabbit@h"), "rabbit_prelaunch_77@h"));
    assert!(registers(&tool("h"), "rabbitmqcli-7-rabbit@h"));
}

#[test]
fn refuses_to_register_the_name_of_another() {
    for (owner, text) in [
        (node("a@h"), "b@h"),
        (node("a@h"), "a@i"),
        (node("a@h"), "rabbitmqcli-7-rabbit@h"),
        (tool("h"), "a@h"),
        (tool("h"), "rabbitmqcli-7-rabbit@i"),
    ] {
        assert!(!registers(&owner, text), "{owner:?} {text}");
    }
}

#[test]
fn who_could_link_is_told() {
    assert!(learns(&node("a@h"), &node("b@h"), "b@h"));
    assert!(learns(&tool("i"), &node("b@h"), "b@h"));
    let cli = "rabbitmqcli-7-rabbit@h";
    assert!(learns(&node("rabbit@i"), &tool("h"), cli));
}

#[test]
fn who_could_not_link_is_not_told() {
    let cli = "rabbitmqcli-7-rabbit@h";
    assert!(!learns(&tool("h"), &tool("h"), cli));
    assert!(!learns(
        &node("a@h"),
        &node("rabbit@h"),
        "rabbit_prelaunch_77@h"
    ));
}
