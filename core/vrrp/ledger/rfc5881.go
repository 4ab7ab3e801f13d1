package ledger

// rfc5881 is BFD over one hop.
func rfc5881() Document {
	return Document{
		Number: 5881,
		Title:  "BFD for IPv4 and IPv6, single hop",
		Note:   "Without Echo.",
		Requirements: []Requirement{
			{ID: "2-1", Level: Must, Text: "Sessions between two systems have network paths of their own, in both directions.", Excuse: Operator, Reason: "Two sessions of halo differ in the peer, the interface, the source or the kind of path; whether their packets travel apart is up to the network."},
			{ID: "2-2", Level: Must, Text: "IPv4 and IPv6 have a session each."},
			{ID: "2-3", Level: Must, Text: "Echo packets are excepted from ingress filtering.", Excuse: Inapplicable, Reason: noEcho},
			{ID: "2-4", Level: Must, Text: "Who has Echo can send packets to an address of its own.", Excuse: Inapplicable, Reason: noEcho},
			{ID: "3-1", Level: Must, Text: "Both sides are active.", Excuse: Departs, Reason: "halo's side is, unless it is configured to be passive, as Keepalived's can be."},
			{ID: "3-2", Level: Must, Text: "A packet with Your Discriminator zero is the session's that is bound to the peer, the interface and the protocol."},
			{ID: "4-1", Level: Must, Text: "Control packets go to UDP port 3784."},
			{ID: "4-2", Level: Must, Text: "The source port is between 49152 and 65535."},
			{ID: "4-3", Level: Must, Text: "All packets of a session have the same source port."},
			{ID: "4-4", Level: Should, Text: "The source port is no other session's."},
			{ID: "4-5", Level: Should, Text: "Beyond 16384 sessions as few as possible share one.", Excuse: Missing, Reason: "A session that finds no free port is refused, and tries again."},
			{ID: "4-6", Level: Must, Text: "Not the source port but the discriminator decides which session a packet is for."},
			{ID: "4-7", Level: Must, Text: "The ports and addresses of Echo packets.", Excuse: Inapplicable, Reason: noEcho},
			{ID: "5-1", Level: Must, Text: "Packets are sent with a TTL of 255."},
			{ID: "5-2", Level: Must, Text: "A packet that arrives with another is discarded."},
			{ID: "5-3", Level: Must, Text: "With authentication they are sent with a TTL of 255, too.", Excuse: Inapplicable, Reason: noAuthentication},
			{ID: "6-1", Level: Must, Text: "Packets are sent over the one hop that is watched."},
			{ID: "6-2", Level: Must, Text: "On a multiaccess network both addresses are of its subnet."},
			{ID: "6-3", Level: MustNot, Text: "On a point-to-point link the source address says which session a packet is for: any is accepted of the first one.", Excuse: Departs, Reason: "The first packet has to come from the configured peer, on every kind of link: halo does not ask what kind it is, and several sessions may share an interface."},
			{ID: "6-4", Level: Must, Text: "Of later packets Your Discriminator alone says it."},
			{ID: "6-5", Level: MustNot, Text: "Another source address of the peer becomes the destination."},
			{ID: "7-1", Level: Should, Text: "In tunnels packets are authenticated.", Excuse: Missing, Reason: noAuthentication},
		},
	}
}

// rfc5883 is BFD over several hops.
func rfc5883() Document {
	return Document{
		Number: 5883,
		Title:  "BFD for multihop paths",
		Note:   "For sessions between two addresses (section 4.1).",
		Requirements: []Requirement{
			{ID: "3-1", Level: MustNot, Text: "Echo is used over several hops.", Excuse: OneWay, Reason: "It is not used at all."},
			{ID: "4.1-1", Level: Must, Text: "Several sessions between two systems differ in an address at least."},
			{ID: "4.1-2", Level: Step, Text: "The first packet is given to a session by its source and its destination."},
			{ID: "4.3-1", Level: Must, Text: "On a unidirectional link the sender is active and the receiver passive.", Excuse: Operator, Reason: "Which side is passive is configured."},
			{ID: "5-1", Level: Must, Text: "Control packets go to UDP port 4784."},
			{ID: "6-1", Level: Should, Text: "Packets are authenticated.", Excuse: Missing, Reason: noAuthentication},
		},
	}
}
