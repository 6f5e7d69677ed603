//! Networks, and containers on them.

use std::time::Duration;

use evenkeel::model::service::NamespaceMode;
use expect_test::expect;

use super::both;
use crate::sim::scene::{Acts, Make, Scene};

#[test]
fn a_network_that_is_not_there() {
    both(
        expect![[r#"
        create web: ok
        start web: NotFound(Network): network net not found
          web: created, on net, error: network net not found
        create network net: ok
        start web: ok
          web: running, on id of net and net
        --- events
        web: created
        network net: made
        network net: web comes or goes
        web: started
    "#]],
        async |s: &Scene| {
            s.create(Make::new("web").on(&["net"])).await;
            s.start("web").await;
            s.look("web").await;
            s.create_network("net").await;
            s.up("web").await;
            s.look("web").await;
        },
    );
}

#[test]
fn a_name_may_be_given_twice() {
    both(
        expect![[r#"
        create network net: ok
        create network net: ok
        create web: ok
        start web: InvalidRequest: network net is ambiguous (2 matches found on name)
          web: created, on net, error: network net is ambiguous (2 matches found on name)
        remove network net2: ok
        start web: ok
          web: running, on id of net and net
        --- events
        network net: made
        network net2: made
        web: created
        network net2: gone
        network net: web comes or goes
        web: started
    "#]],
        async |s: &Scene| {
            s.create_network("net").await;
            s.create_network("net").await;
            s.create(Make::new("web").on(&["net"])).await;
            s.start("web").await;
            s.look("web").await;
            s.remove_network("net2").await;
            s.up("web").await;
            s.look("web").await;
        },
    );
}

#[test]
fn one_of_two_of_a_name_by_its_id() {
    both(
        expect![[r#"
        create network net: ok
        create network net: ok
        create web: ok
          web: created, on id of net and net
        start web: ok
          web: running, on id of net and net
        remove network net2: ok
        start web: ok
          web: running, on id of net and net
        create network net: ok
        stop web: ok
        start web: ok
          web: running, on id of net and net
        --- events
        network net: made
        network net2: made
        web: created
        network net: web comes or goes
        web: started
        network net2: gone
        network net3: made
        web: killed
        web: died 0
        network net: web comes or goes
        network net: web comes or goes
        web: started
    "#]],
        async |s: &Scene| {
            s.create_network("net").await;
            s.create_network("net").await;
            let id = s.network("net").to_string();
            s.create(Make::new("web").on(&[&id])).await;
            s.look("web").await;
            // Without its id beside the name it would be one of two.
            s.start("web").await;
            s.look("web").await;
            s.remove_network("net2").await;
            s.up("web").await;
            s.look("web").await;
            s.create_network("net").await;
            s.stop("web", 5).await;
            s.up("web").await;
            s.look("web").await;
        },
    );
}

#[test]
fn a_network_in_use_stays() {
    both(
        expect![[r#"
        create network net: ok
        create web: ok
        start web: ok
        remove network net: Other: error while removing network: network net id <net> has active endpoints
        by hand: pause web: ok
        remove network net: Other: error while removing network: network net id <net> has active endpoints
        stop web: ok
          web: exited 0, on id of net and net
        remove network net: ok
        remove network net: ok
          web: exited 0, on id of net and net
        start web: NotFound(Network): network <net> not found
          web: exited 128, on id of net and net, error: network <net> not found
        create network net: ok
        start web: NotFound(Network): network <net> not found
          web: exited 128, on id of net and net, error: network <net> not found
        --- events
        network net: made
        web: created
        network net: web comes or goes
        web: started
        web: paused
        web: killed
        web: unpaused
        web: died 0
        network net: web comes or goes
        network net: gone
        network net2: made
    "#]],
        async |s: &Scene| {
            s.create_network("net").await;
            s.run(Make::new("web").on(&["net"])).await;
            s.remove_network("net").await;
            s.pause("web");
            s.remove_network("net").await;
            s.stop("web", 5).await;
            s.look("web").await;
            s.remove_network("net").await;
            s.remove_network("net").await;
            s.look("web").await;
            s.start("web").await;
            s.look("web").await;
            // Made anew under the same name: it still asks for the old one.
            s.create_network("net").await;
            s.start("web").await;
            s.look("web").await;
        },
    );
}

#[test]
fn a_network_of_a_created_container_may_go() {
    both(
        expect![[r#"
        create network net: ok
        create web: ok
          web: created, on net
        remove network net: ok
        create network net: ok
        start web: ok
          web: running, on id of net2 and net
        --- events
        network net: made
        web: created
        network net: gone
        network net2: made
        network net2: web comes or goes
        web: started
    "#]],
        async |s: &Scene| {
            s.create_network("net").await;
            s.create(Make::new("web").on(&["net"])).await;
            s.look("web").await;
            s.remove_network("net").await;
            s.create_network("net").await;
            s.start("web").await;
            s.look("web").await;
        },
    );
}

#[test]
fn a_further_network() {
    both(
        expect![[r#"
        create network net: ok
        create network more: ok
        create web: ok
        connect web to more: ok
          web: created, on more and net
        connect web to more: ok
          web: created, on more and net
        start web: ok
          web: running, on id of more and id of net and more and net
        connect web to more: Other: endpoint with name web already exists in network more
        stop web: ok
          web: exited 0, on id of more and id of net and more and net
        remove network more: ok
        remove web: ok
        remove network net: ok
        --- events
        network net: made
        network more: made
        web: created
        network more: web comes or goes
        network net: web comes or goes
        web: started
        web: killed
        web: died 0
        network more: web comes or goes
        network net: web comes or goes
        network more: gone
        web: destroyed
        network net: gone
    "#]],
        async |s: &Scene| {
            s.create_network("net").await;
            s.create_network("more").await;
            s.create(Make::new("web").on(&["net"])).await;
            s.connect("more", "web").await;
            s.look("web").await;
            s.connect("more", "web").await;
            s.look("web").await;
            s.up("web").await;
            s.look("web").await;
            s.connect("more", "web").await;
            s.stop("web", 5).await;
            s.look("web").await;
            s.remove_network("more").await;
            s.remove("web").await;
            s.remove_network("net").await;
        },
    );
}

#[test]
fn a_further_network_while_it_runs() {
    both(
        expect![[r#"
        create network net: ok
        create network more: ok
        create web: ok
        start web: ok
        connect web to more: ok
          web: running, on id of more and id of net and more and net
        connect web to more: Other: endpoint with name web already exists in network more
        by hand: disconnect web from more: ok
          web: running, on id of net and net
        by hand: disconnect web from more: NotAttached: container <web> is not connected to network more
        by hand: disconnect web from net: ok
          web: running
        connect web to net: ok
          web: running, on id of net and net
        connect web to nosuch: NotFound(Network): network <id> not found
        connect nobody to net: NotFound(Itself): No such container: <id>
        stop web: ok
          web: exited 0, on id of net and net
        --- events
        network net: made
        network more: made
        web: created
        network net: web comes or goes
        web: started
        network more: web comes or goes
        network more: web comes or goes
        network more: web comes or goes
        network net: web comes or goes
        network net: web comes or goes
        network net: web comes or goes
        web: killed
        web: died 0
        network net: web comes or goes
    "#]],
        async |s: &Scene| {
            s.create_network("net").await;
            s.create_network("more").await;
            s.run(Make::new("web").on(&["net"])).await;
            s.connect("more", "web").await;
            s.look("web").await;
            s.connect("more", "web").await;
            s.disconnect("more", "web");
            s.look("web").await;
            s.disconnect("more", "web");
            s.disconnect("net", "web");
            s.look("web").await;
            s.connect("net", "web").await;
            s.look("web").await;
            s.connect("nosuch", "web").await;
            s.connect("net", "nobody").await;
            s.stop("web", 5).await;
            s.look("web").await;
        },
    );
}

#[test]
fn disconnected_while_it_does_not_run() {
    both(
        expect![[r#"
        create network net: ok
        create web: ok
        by hand: disconnect web from net: ok
          web: created
        start web: ok
          web: running
        stop web: ok
        connect web to net: ok
          web: exited 0, on net
        by hand: disconnect web from net: ok
          web: exited 0
        by hand: disconnect web from nosuch: NotAttached: container <web> is not connected to the network nosuch
        by hand: disconnect web from net: NotAttached: container <web> is not connected to the network net
        start web: ok
        by hand: disconnect web from nosuch: NotFound(Network): network nosuch not found
        by hand: disconnect nobody from net: NotFound(Itself): No such container: <id>
        --- events
        network net: made
        web: created
        network net: web comes or goes
        web: started
        web: killed
        web: died 0
        network net: web comes or goes
        web: started
    "#]],
        async |s: &Scene| {
            s.create_network("net").await;
            s.create(Make::new("web").on(&["net"])).await;
            s.disconnect("net", "web");
            s.look("web").await;
            s.up("web").await;
            s.look("web").await;
            s.stop("web", 5).await;
            s.connect("net", "web").await;
            s.look("web").await;
            s.disconnect("net", "web");
            s.look("web").await;
            s.disconnect("nosuch", "web");
            s.disconnect("net", "web");
            s.up("web").await;
            s.disconnect("nosuch", "web");
            s.disconnect("net", "nobody");
        },
    );
}

#[test]
fn connected_to_nothing_while_it_does_not_run() {
    both(
        expect![[r#"
            create web: ok
            connect web to nosuch: ok
              web: created
            start web: NotFound(Network): network <id> not found
              web: created, error: network <id> not found
            --- events
            web: created
        "#]],
        async |s: &Scene| {
            s.create(Make::new("web")).await;
            s.connect("nosuch", "web").await;
            s.look("web").await;
            // It was taken down unseen: the start fails for it.
            s.start("web").await;
            s.look("web").await;
        },
    );
}

#[test]
fn on_the_hosts_network_none_is_added() {
    both(
        expect![[r#"
            create network net: ok
            create web: ok
            connect web to net: InvalidRequest: container sharing network namespace with another container or host cannot be connected to any other network
            start web: ok
            connect web to net: InvalidRequest: container sharing network namespace with another container or host cannot be connected to any other network
              web: running
            --- events
            network net: made
            web: created
            web: started
        "#]],
        async |s: &Scene| {
            s.create_network("net").await;
            let mut make = Make::new("web").acts(Acts::interrupted());
            make.service.network_mode = Some(NamespaceMode::Host);
            s.create(make).await;
            s.connect("net", "web").await;
            s.up("web").await;
            s.connect("net", "web").await;
            s.look("web").await;
        },
    );
}

#[test]
fn without_a_network_none_is_added() {
    both(
        expect![[r#"
        create network net: ok
        create web: ok
        connect web to net: InvalidRequest: container cannot be connected to multiple networks with one of the networks in private (none) mode
          web: created
        start web: ok
          web: running
        connect web to net: InvalidRequest: container cannot be connected to multiple networks with one of the networks in private (none) mode
          web: running
        --- events
        network net: made
        web: created
        web: started
    "#]],
        async |s: &Scene| {
            s.create_network("net").await;
            s.create(Make::new("web")).await;
            s.connect("net", "web").await;
            s.look("web").await;
            s.up("web").await;
            s.look("web").await;
            s.connect("net", "web").await;
            s.look("web").await;
        },
    );
}

#[test]
fn several_networks_at_creation() {
    both(
        expect![[r#"
        create network net: ok
        create network more: ok
        create web: InvalidRequest: Container cannot be connected to network endpoints: more, net
          web: gone
        start web: NotFound(Itself): No such container: <id>
          web: gone
        --- events
        network net: made
        network more: made
    "#]],
        async |s: &Scene| {
            s.create_network("net").await;
            s.create_network("more").await;
            s.create(Make::new("web").on(&["net", "more"])).await;
            s.look("web").await;
            s.start("web").await;
            s.look("web").await;
        },
    );
}

#[test]
fn in_the_network_of_one_that_does_not_run() {
    both(
        expect![[r#"
            create host: ok
            create guest: ok
            start guest: Other: cannot join network of a non running container: <host>
              guest: created, error: cannot join network of a non running container: <host>
            start host: ok
            start guest: ok
              guest: running
            create network more: ok
            connect guest to more: InvalidRequest: container sharing network namespace with another container or host cannot be connected to any other network
            stop host: ok
              guest: running
            stop guest: ok
            start guest: Other: cannot join network of a non running container: <host>
              guest: exited 143, error: cannot join network of a non running container: <host>
            remove host: ok
            start guest: NotFound(Container): No such container: <host>
              guest: exited 143, error: No such container: <host>
            --- events
            host: created
            guest: created
            host: started
            guest: started
            network more: made
            host: killed
            host: died 0
            guest: killed
            guest: died 143
            host: destroyed
        "#]],
        async |s: &Scene| {
            s.create(Make::new("host")).await;
            let host = s.id("host");
            s.create(Make::new("guest").inside(&host).acts(Acts::interrupted())).await;
            s.start("guest").await;
            s.look("guest").await;
            s.up("host").await;
            s.up("guest").await;
            s.look("guest").await;
            s.create_network("more").await;
            s.connect("more", "guest").await;
            s.stop("host", 5).await;
            s.look("guest").await;
            s.stop("guest", 1).await;
            s.start("guest").await;
            s.look("guest").await;
            s.remove("host").await;
            s.start("guest").await;
            s.look("guest").await;
        },
    );
}

#[test]
fn in_anothers_network_and_on_one() {
    both(
        expect![[r#"
        create network net: ok
        create host: ok
        start host: ok
        create guest: ok
        connect guest to net: ok
          guest: created, on net
        start guest: ok
          guest: running, on net
        --- events
        network net: made
        host: created
        host: started
        guest: created
        guest: started
    "#]],
        async |s: &Scene| {
            s.create_network("net").await;
            s.run(Make::new("host")).await;
            s.create(Make::new("guest").inside(&s.id("host")).acts(Acts::interrupted())).await;
            s.connect("net", "guest").await;
            s.look("guest").await;
            s.start("guest").await;
            s.look("guest").await;
        },
    );
}

#[test]
fn in_the_network_of_one_that_is_not_there() {
    both(
        expect![[r#"
        create guest: ok
        start guest: NotFound(Container): No such container: <id>
          guest: created, error: No such container: <id>
        --- events
        guest: created
    "#]],
        async |s: &Scene| {
            s.create(Make::new("guest").inside(&s.id("nobody"))).await;
            s.start("guest").await;
            s.look("guest").await;
        },
    );
}

#[test]
fn a_port_is_had_once() {
    both(
        expect![[r#"
        create network net: ok
        create web: ok
        start web: ok
        create other: ok
        start other: PortTaken: driver failed programming external connectivity on endpoint other (<id>): Bind for 0.0.0.0:PORT failed: port is already allocated
          other: created, on id of net and net, error: driver failed programming external connectivity on endpoint other (<id>): Bind for 0.0.0.0:PORT failed: port is already allocated
        stop web: ok
        start other: ok
          other: running, on id of net and net
        start web: PortTaken: driver failed programming external connectivity on endpoint web (<id>): Bind for 0.0.0.0:PORT failed: port is already allocated
          web: exited 128, on id of net and net, error: driver failed programming external connectivity on endpoint web (<id>): Bind for 0.0.0.0:PORT failed: port is already allocated
        stop other: ok
        start web: ok
          web: running, on id of net and net
        --- events
        network net: made
        web: created
        network net: web comes or goes
        web: started
        other: created
        network net: other comes or goes
        web: killed
        web: died 0
        network net: web comes or goes
        network net: other comes or goes
        other: started
        network net: web comes or goes
        other: killed
        other: died 0
        network net: other comes or goes
        network net: web comes or goes
        web: started
    "#]],
        async |s: &Scene| {
            s.create_network("net").await;
            s.run(Make::new("web").on(&["net"]).port(s.port)).await;
            s.create(Make::new("other").on(&["net"]).port(s.port)).await;
            s.start("other").await;
            s.look("other").await;
            s.stop("web", 5).await;
            s.up("other").await;
            s.look("other").await;
            s.start("web").await;
            s.look("web").await;
            s.stop("other", 5).await;
            s.up("web").await;
            s.look("web").await;
        },
    );
}

#[test]
fn on_a_network_it_ends_by_itself() {
    both(
        expect![[r#"
        create network net: ok
        create web: ok
        start web: ok
          web: exited 3, on id of net and net
        remove web: ok
        remove network net: ok
        --- events
        network net: made
        web: created
        network net: web comes or goes
        web: started
        web: died 3
        network net: web comes or goes
        web: destroyed
        network net: gone
    "#]],
        async |s: &Scene| {
            s.create_network("net").await;
            s.create(Make::new("web").on(&["net"]).acts(Acts::ending(Duration::from_millis(500), 3))).await;
            s.start("web").await;
            s.until_it_is("web", "exited").await;
            s.remove("web").await;
            s.remove_network("net").await;
        },
    );
}

#[test]
fn on_a_network_it_is_removed_by_force() {
    both(
        expect![[r#"
        create network net: ok
        create web: ok
        start web: ok
        rename web to renamed: ok
        by hand: remove web: ok
          web: gone
        --- events
        network net: made
        web: created
        network net: web comes or goes
        web: started
        web: changed
        web: killed
        web: died 137
        network net: web comes or goes
        web: destroyed
    "#]],
        async |s: &Scene| {
            s.create_network("net").await;
            s.run(Make::new("web").on(&["net"])).await;
            s.rename("web", "renamed").await;
            s.remove_by_force("web");
            s.until_gone("web").await;
        },
    );
}
