package ledger

// rfc9568 is VRRP version 3.
func rfc9568() Document {
	return Document{
		Number: 9568,
		Title:  "VRRP version 3 for IPv4 and IPv6",
		Note:   "With the verified errata 7947, 7949, 8298, 8299, 8300 and 8301.",
		Requirements: append(append(append(
			rfc9568Wire(), rfc9568Backup()...), rfc9568Active()...), rfc9568Rest()...),
	}
}

// noFrameFilter is why a frame's destination is no matter of a backup's.
const noFrameFilter = "Without a virtual MAC interface nobody has that MAC address. With one, the interface must be down or away while the router is a backup, or forwarding from it be dropped, and nothing does that yet."

// ownMAC is why advertisements and answers have the interface's MAC address.
const ownMAC = "Unless vmac is configured, the MAC address is that of the interface, and gratuitous ARP moves the hosts, as with Keepalived."

// acceptsAll is what becomes of packets to the virtual addresses.
const acceptsAll = "Only where accept = false says so. It is true by default, since people expect an address that moves to answer."

// routerFlag is that of neighbor advertisements.
const routerFlag = "The router flag is set where Linux forwards IPv6 on the interface, and not where it does not: a server that is no router would else become the default router of its neighbours."

// sameAdvertisements is what only the operator can see to.
const sameAdvertisements = "What is sent stands in router_advertisement in the file of each router."

// notLinkLocalFirst is what becomes of a list in another order.
const notLinkLocalFirst = "The addresses are sent in the order of the configuration. One that begins with another address is warned of and taken: what counts is that all routers have the same."

// rfc9568Wire is sections 2 to 6.3.
func rfc9568Wire() []Requirement {
	return []Requirement{
		{ID: "2.5-1", Level: Should, Text: "With a small interval, packets that wait in queues can make backups take over and give back: that is logged, at a limited rate."},
		{ID: "5.1.1.2-1", Level: MustNot, Text: "A packet to 224.0.0.18 is forwarded, whatever its TTL.", Excuse: Kernel, Reason: "Linux forwards no packet to 224.0.0.0/24; halo forwards nothing itself."},
		{ID: "5.1.1.3-1", Level: Must, Text: "Advertisements over IPv4 leave with a TTL of 255.", Excuse: OneWay, Reason: "Multicast has no other TTL that one could ask for."},
		{ID: "5.1.1.3-2", Level: Must, Text: "One that arrives over IPv4 with another TTL than 255 is discarded."},
		{ID: "5.1.2.2-1", Level: MustNot, Text: "A packet to ff02::12 is forwarded, whatever its hop limit.", Excuse: Kernel, Reason: "Linux forwards nothing of link-local scope; halo forwards nothing itself."},
		{ID: "5.1.2.3-1", Level: Must, Text: "Advertisements over IPv6 leave with a hop limit of 255.", Excuse: OneWay, Reason: "Multicast has no other hop limit that one could ask for."},
		{ID: "5.1.2.3-2", Level: Must, Text: "One that arrives over IPv6 with another hop limit than 255 is discarded."},
		{ID: "5.2.2-1", Level: Must, Text: "A packet of an unknown type is discarded; the one known is 1."},
		{ID: "5.2.4-1", Level: Must, Text: "The router that owns the virtual addresses has priority 255."},
		{ID: "5.2.4-2", Level: Must, Text: "Every other router has a priority of 1 to 254."},
		{ID: "5.2.5-1", Level: Must, Text: "An advertisement without any address is ignored (erratum 8299)."},
		{ID: "5.2.6-1", Level: Must, Text: "The reserved bits are sent as zero, and not looked at."},
		{ID: "5.2.8-1", Level: Step, Text: "Over IPv4 the checksum covers the message only, from the version to the last address.", Excuse: Departs, Reason: "What is sent has a pseudo-header as well, unless checksum says plain: so do Keepalived and others that read RFC 5798 that way, and they drop what is summed without. Both forms are accepted."},
		{ID: "5.2.8-2", Level: Step, Text: "Over IPv6 the checksum covers the pseudo-header of RFC 8200, with 112 as the next header, and the message."},
		{ID: "5.2.9-1", Level: Must, Text: "Over IPv6 the first address is the virtual router's link-local one.", Excuse: Departs, Reason: notLinkLocalFirst},
		{ID: "5.2.9-2", Level: Must, Text: "All addresses are of the family of the packet that carries them."},
		{ID: "6.1-1", Level: Must, Text: "The advertisement interval is 1 to 4095 centiseconds (erratum 8301)."},
		{ID: "6.1-2", Level: Must, Text: "The first IPv6 address of a configuration is link-local.", Excuse: Departs, Reason: notLinkLocalFirst},
		{ID: "6.1-3", Level: MustNot, Text: "With Accept_Mode false, neighbor solicitations and advertisements are dropped."},
		{ID: "6.1-4", Level: Step, Text: "The skew time is (256 - priority) / 256 of the active router's interval, and the down interval three of those intervals and the skew time."},
		{ID: "6.1-5", Level: Step, Text: "An address owner takes over from whoever is active, with Preempt_Mode off as well."},
		{ID: "6.4.1-1", Level: Step, Text: "At startup an owner advertises at once, takes and announces its addresses, and is active.", Excuse: Departs, Reason: "During the startup delay, and in a sync group that cannot start yet, an owner waits as a backup."},
		{ID: "6.4.1-2", Level: Step, Text: "At startup any other router is a backup that waits for the down interval, reckoned from its own interval."},
		{ID: "6.4.1-3", Level: Step, Text: "The gratuitous ARP of that is for each virtual IPv4 address (erratum 7947)."},
		{ID: "6.4.1-4", Level: Step, Text: "The unsolicited neighbor advertisement of that is for each virtual IPv6 address: router and override set, solicited not.", Excuse: Departs, Reason: routerFlag},
	}
}

// rfc9568Backup is section 6.4.2.
func rfc9568Backup() []Requirement {
	return []Requirement{
		{ID: "6.4.2-1", Level: MustNot, Text: "A backup answers ARP for the virtual IPv4 addresses: it does not have them."},
		{ID: "6.4.2-2", Level: MustNot, Text: "A backup answers neighbor solicitations for the virtual IPv6 addresses.", Excuse: Kernel, Reason: "Linux answers for the addresses that an interface has, and a backup's are taken off whatever their family is (6.4.2-1); the tests of that use IPv4."},
		{ID: "6.4.2-3", Level: MustNot, Text: "A backup sends Router Advertisements for the virtual router."},
		{ID: "6.4.2-4", Level: Must, Text: "A backup discards frames to the virtual router's MAC address.", Excuse: Missing, Reason: noFrameFilter},
		{ID: "6.4.2-5", Level: MustNot, Text: "A backup accepts packets to the virtual addresses: it does not have them."},
		{ID: "6.4.2-6", Level: Step, Text: "Shutdown of a backup: the timer ends and the state is Initialize."},
		{ID: "6.4.2-7", Level: Step, Text: "When the Active_Down_Timer ends, a backup advertises, announces every address, starts the Adver_Timer and is active.", Excuse: Departs, Reason: "A timer that ended more than an interval ago, while the process did not run, is not believed: the backup listens for one interval more. A member of a sync group asks its group first."},
		{ID: "6.4.2-8", Level: Step, Text: "The announcement of that is for each virtual IPv4 address (erratum 7949)."},
		{ID: "6.4.2-9", Level: Step, Text: "Priority 0 makes a backup wait for the skew time only.", Excuse: Departs, Reason: "The skew time counts from the first of several such advertisements, since some routers say goodbye twice."},
		{ID: "6.4.2-10", Level: Step, Text: "An advertisement of the same or a higher priority restarts the timer, and with Preempt_Mode off one of any.", Excuse: Departs, Reason: "With a preempt delay so does one of a lower priority, until the delay is over."},
		{ID: "6.4.2-11", Level: Step, Text: "With it the backup learns the active router's interval, and reckons both times anew."},
		{ID: "6.4.2-12", Level: Step, Text: "An advertisement of a lower priority is discarded by a backup that preempts."},
		{ID: "6.4.2-13", Level: Step, Text: "Over IPv6 a backup whose Active_Down_Timer ends joins the solicited-node group of each virtual address.", Excuse: Kernel, Reason: "Linux joins it for each address that an interface has."},
		{ID: "6.4.2-14", Level: Step, Text: "Its announcement over IPv6 is an unsolicited neighbor advertisement for each virtual address: router and override set, solicited not.", Excuse: Departs, Reason: routerFlag},
	}
}

// rfc9568Active is section 6.4.3.
func rfc9568Active() []Requirement {
	return []Requirement{
		{ID: "6.4.3-1", Level: Must, Text: "The active router answers ARP for the virtual IPv4 addresses: it has them."},
		{ID: "6.4.3-2", Level: Must, Text: "The active router is a member of the solicited-node group of each virtual IPv6 address.", Excuse: Kernel, Reason: "Linux joins it for each address that an interface has."},
		{ID: "6.4.3-3", Level: Must, Text: "The active router answers neighbor solicitations for the virtual IPv6 addresses, with the router flag.", Excuse: Kernel, Reason: "Linux answers for each address that an interface has, and sets the flag where forwarding is on; what halo announces by itself says the same."},
		{ID: "6.4.3-4", Level: Must, Text: "The active router sends Router Advertisements for the virtual router."},
		{ID: "6.4.3-5", Level: Must, Text: "The active router forwards frames to the virtual router's MAC address.", Excuse: Kernel, Reason: "Linux forwards what comes to a MAC address of the machine, if the operator has turned forwarding on."},
		{ID: "6.4.3-6", Level: Must, Text: "The active router accepts packets to the virtual addresses if it owns them or Accept_Mode is true.", Excuse: Kernel, Reason: "Linux accepts what is sent to an address that an interface has."},
		{ID: "6.4.3-7", Level: MustNot, Text: "The active router accepts packets to the virtual addresses if neither is so."},
		{ID: "6.4.3-8", Level: Step, Text: "Shutdown of the active router: the timer ends, priority 0 is advertised, and the state is Initialize."},
		{ID: "6.4.3-9", Level: Step, Text: "When the Adver_Timer ends the active router advertises, and starts it again."},
		{ID: "6.4.3-10", Level: Step, Text: "Priority 0 of another is answered with an advertisement, and the Adver_Timer starts again.", Excuse: Departs, Reason: "After a stall it is not answered before all that waits on the socket was read: the overdue advertisement follows then."},
		{ID: "6.4.3-11", Level: Step, Text: "A higher priority, or the same from a higher address, makes the active router a backup that has learnt the other's interval.", Excuse: Departs, Reason: "It says so in a last advertisement, so that the better router notices a split. In a sync group the first member decides between equals."},
		{ID: "6.4.3-12", Level: Step, Text: "Addresses are compared as numbers, in the order of the network's bytes."},
		{ID: "6.4.3-13", Level: Step, Text: "Any other advertisement is discarded and answered at once by one of the active router.", Excuse: Departs, Reason: "One from the own address is not answered, or a network that reflects would echo for ever; what is read after a stall is answered by the overdue advertisement."},
		{ID: "6.4.3-14", Level: Step, Text: "An active router does not ask whether Preempt_Mode is on."},
		{ID: "6.4.3-15", Level: MustNot, Text: "With Accept_Mode false an active router drops neighbor solicitations and advertisements."},
	}
}

// rfc9568Rest is section 7 and what follows.
func rfc9568Rest() []Requirement {
	return []Requirement{
		{ID: "7.1-1", Level: Must, Text: "The TTL or hop limit of what is received is 255."},
		{ID: "7.1-2", Level: Must, Text: "Its version is 3."},
		{ID: "7.1-3", Level: Must, Text: "Its type is 1."},
		{ID: "7.1-4", Level: Must, Text: "It is complete: the fixed fields and all addresses."},
		{ID: "7.1-5", Level: Must, Text: "Its checksum is right."},
		{ID: "7.1-6", Level: Must, Text: "Its virtual router is configured on the interface that it came in by."},
		{ID: "7.1-7", Level: Must, Text: "It has at least one address (erratum 8299)."},
		{ID: "7.1-8", Level: Must, Text: "Over IPv6 its first address is link-local (erratum 8300).", Excuse: Departs, Reason: "Such a packet counts, and is told as a finding: to drop the advertisements of a peer whose list is in another order would make two active routers."},
		{ID: "7.1-9", Level: Must, Text: "Its interval is not zero (erratum 8301)."},
		{ID: "7.1-10", Level: Must, Text: "What fails one of these checks is discarded."},
		{ID: "7.1-11", Level: Should, Text: "That is logged, at a limited rate."},
		{ID: "7.1-12", Level: Should, Text: "That the local router is the owner is looked at and logged, and the packet counts (erratum 8298)."},
		{ID: "7.1-13", Level: Should, Text: "That the interval is the configured one is looked at; another one is no reason to drop."},
		{ID: "7.1-14", Level: Should, Text: "An interval or a list of addresses that differs is logged, at a limited rate."},
		{ID: "7.2-1", Level: Must, Text: "What is sent has the fields of the virtual router's configuration."},
		{ID: "7.2-2", Level: Must, Text: "Its checksum is computed."},
		{ID: "7.2-3", Level: Must, Text: "Its source MAC address is the virtual router's.", Excuse: Departs, Reason: ownMAC},
		{ID: "7.2-4", Level: Must, Text: "Its source is the primary IPv4 address of the interface."},
		{ID: "7.2-5", Level: Must, Text: "Its source over IPv6 is the link-local address of the interface."},
		{ID: "7.2-6", Level: Must, Text: "Its protocol is 112.", Excuse: OneWay, Reason: "The socket is one of that protocol, and can send no other."},
		{ID: "7.2-7", Level: Must, Text: "Its destination is the group of its family."},
		{ID: "7.3-1", Level: Step, Text: "The virtual router's MAC address is 00-00-5e-00-01 and its number, over IPv6 00-00-5e-00-02."},
		{ID: "7.4-1", Level: MustNot, Text: "The virtual router's MAC address enters the interface identifiers of RFC 7217 and RFC 8981.", Excuse: OneWay, Reason: "A virtual MAC interface has the addresses that it is given and makes none; there is no setting with which it would."},
		{ID: "8.1.1-1", Level: Must, Text: "Before an ICMP redirect the active router finds out which virtual router the packet was sent to.", Excuse: Missing, Reason: "Redirects are Linux's, and halo sets nothing for them: their source is the first address of the interface that the packet came in by."},
		{ID: "8.1.2-1", Level: Must, Text: "ARP for a virtual address is answered with the virtual router's MAC address.", Excuse: Departs, Reason: ownMAC},
		{ID: "8.1.2-2", Level: MustNot, Text: "ARP for a virtual address is answered with the machine's own MAC address.", Excuse: Departs, Reason: ownMAC},
		{ID: "8.1.2-3", Level: ShouldNot, Text: "A router that boots sends ARP with its own MAC address for the virtual addresses it owns.", Excuse: Kernel, Reason: "An owner's address is the machine's own, configured before halo runs; what Linux sends for it is not in halo's hands."},
		{ID: "8.1.2-4", Level: Should, Text: "For each virtual address that is put on an interface a gratuitous ARP is broadcast."},
		{ID: "8.1.2-5", Level: Must, Text: "At boot that waits until the address, and the virtual MAC address if there is one, are there."},
		{ID: "8.1.2-6", Level: Should, Text: "To log in to a router one uses an address that is known to be its own.", Excuse: Operator, Reason: "It is advice for people."},
		{ID: "8.1.3-1", Level: Must, Text: "Proxy ARP tells the virtual router's MAC address.", Excuse: Kernel, Reason: "Proxy ARP is Linux's and off, and answers with the address of the interface it is turned on for."},
		{ID: "8.2.1-1", Level: Should, Text: "An ICMPv6 redirect comes from the address by which the host chose the router.", Excuse: Kernel, Reason: "Redirects are Linux's, which sends them from a link-local address of the interface."},
		{ID: "8.2.2-1", Level: Must, Text: "A neighbor solicitation for a virtual address is answered with the virtual router's MAC address.", Excuse: Departs, Reason: ownMAC},
		{ID: "8.2.2-2", Level: MustNot, Text: "It is answered with the machine's own MAC address.", Excuse: Departs, Reason: ownMAC},
		{ID: "8.2.2-3", Level: Must, Text: "A neighbor solicitation of the active router names the virtual router's MAC address, if any.", Excuse: Kernel, Reason: "Solicitations are Linux's, which names the address of the interface it sends by."},
		{ID: "8.2.2-4", Level: MustNot, Text: "It names the machine's own MAC address.", Excuse: Kernel, Reason: "Solicitations are Linux's; without a virtual MAC interface the virtual addresses are at the machine's own MAC address."},
		{ID: "8.2.2-5", Level: ShouldNot, Text: "A router that boots sends neighbor discovery with its own MAC address for the virtual addresses it owns.", Excuse: Kernel, Reason: "An owner's address is the machine's own, configured before halo runs; what Linux sends for it is not in halo's hands."},
		{ID: "8.2.2-6", Level: Should, Text: "For each virtual address that is put on an interface an unsolicited neighbor advertisement is sent."},
		{ID: "8.2.2-7", Level: Must, Text: "At boot all neighbor discovery waits until the address, and the virtual MAC address if there is one, are there."},
		{ID: "8.2.3-1", Level: Must, Text: "Backups are configured to send the same options in Router Advertisements as the owner.", Excuse: Operator, Reason: sameAdvertisements},
		{ID: "8.2.3-2", Level: ShouldNot, Text: "An owner advertises a special service that the backups cannot take over.", Excuse: Operator, Reason: sameAdvertisements},
		{ID: "8.2.4-1", Level: Should, Text: "Unsolicited neighbor advertisements are accepted, in both states.", Excuse: Kernel, Reason: "Linux updates the entries it has by them; accept_untracked_na makes it take new ones."},
		{ID: "8.3.1-1", Level: ShouldNot, Text: "A router that is not the owner forwards packets to the virtual addresses.", Excuse: Kernel, Reason: "They stand on the active router's interface, so Linux takes what is sent to them and does not forward it."},
		{ID: "8.3.2-1", Level: Should, Text: "At most one router on a link has priority 255.", Excuse: Operator, Reason: "It is for whoever configures the routers; two are noticed, and settled."},
		{ID: "8.3.2-2", Level: Should, Text: "Several that advertise 255 are logged, at a limited rate."},
		{ID: "8.3.2-3", Level: Should, Text: "Priorities are far enough apart for the skew times to differ.", Excuse: Operator, Reason: "It is for whoever configures the routers."},
		{ID: "8.4.2-1", Level: Must, Text: "A router that speaks version 2 as well sends both, both at the configured rate, even below a second."},
		{ID: "8.4.2-2", Level: Must, Text: "A backup of both versions waits by the rate of the router that is active."},
		{ID: "8.4.2-3", Level: Must, Text: "Version 2's seconds are translated for that."},
		{ID: "8.4.2-4", Level: Should, Text: "Version 2 of an active router that is heard in version 3 is ignored."},
		{ID: "8.4.2-5", Level: ShouldNot, Text: "Both versions are mixed for good.", Excuse: Operator, Reason: "It is for whoever configures the routers."},
		{ID: "8.4.2.1.1-1", Level: ShouldNot, Text: "A version 2 router has a higher priority than one of both that advertises more than once a second.", Excuse: Operator, Reason: "It is for whoever configures the routers."},
		{ID: "9-1", Level: Should, Text: "The link is secured as RFC 9099 section 2.3 recommends.", Excuse: Operator, Reason: "It is for whoever runs the network."},
	}
}
