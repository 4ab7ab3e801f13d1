package ledger

// What halo's BFD does without.
const (
	noAuthentication = "halo's BFD has no authentication."
	noEcho           = "halo's BFD has no Echo function: it says so in every packet, and sends none."
	noDemand         = "halo never asks for Demand mode."
)

// rfc5880 is BFD.
func rfc5880() Document {
	return Document{
		Number:       5880,
		Title:        "Bidirectional Forwarding Detection",
		Note:         "In asynchronous mode, without authentication and Echo; what belongs to those is one line for each section.",
		Requirements: append(rfc5880Session(), rfc5880Procedures()...),
	}
}

// rfc5880Session is sections 4 to 6.8.5.
func rfc5880Session() []Requirement {
	return []Requirement{
		{ID: "4.1-1", Level: Must, Text: "The Multipoint bit is zero in what is sent and what is received."},
		{ID: "4.2-1", Level: Must, Text: "The form of a Simple Password section.", Excuse: Inapplicable, Reason: noAuthentication},
		{ID: "4.3-1", Level: Must, Text: "The form of a Keyed MD5 section.", Excuse: Inapplicable, Reason: noAuthentication},
		{ID: "4.4-1", Level: Must, Text: "The form of a Keyed SHA1 section.", Excuse: Inapplicable, Reason: noAuthentication},
		{ID: "5-1", Level: Should, Text: "Echo packets are authenticated.", Excuse: Inapplicable, Reason: noEcho},
		{ID: "6.1-1", Level: Must, Text: "The active side sends whether or not it hears anything."},
		{ID: "6.1-2", Level: MustNot, Text: "The passive side sends before it has heard the peer."},
		{ID: "6.1-3", Level: Must, Text: "At least one side is active.", Excuse: Operator, Reason: "halo's side is unless it is configured to be passive, and cannot see what the other one is."},
		{ID: "6.3-1", Level: Must, Text: "A session's discriminator is chosen freely and no other session's of the system."},
		{ID: "6.3-2", Level: Step, Text: "Packets are given to sessions by Your Discriminator alone once it is known."},
		{ID: "6.4-1", Level: Should, Text: "The receive interval that is told is the lowest the system can bear.", Excuse: Operator, Reason: "It is told as configured; the Echo interval is always told as none."},
		{ID: "6.5-1", Level: MustNot, Text: "A packet has both Poll and Final."},
		{ID: "6.5-2", Level: Must, Text: "A Poll Sequence uses the periodic packets, and no others are sent for it."},
		{ID: "6.6-1", Level: MustNot, Text: "The Demand bit is set unless both sides see the session Up.", Excuse: OneWay, Reason: "halo never sets it."},
		{ID: "6.6-2", Level: Must, Text: "A change of the Demand bit begins a Poll Sequence.", Excuse: Inapplicable, Reason: noDemand},
		{ID: "6.6-3", Level: Must, Text: "While Demand mode is active on a side, other contents of the next packet begin a Poll Sequence."},
		{ID: "6.7-1", Level: Must, Text: "Who supports authentication supports both kinds of SHA1.", Excuse: Inapplicable, Reason: noAuthentication},
		{ID: "6.7.1-1", Level: Should, Text: "Authentication is not turned on and off by what is received.", Excuse: Inapplicable, Reason: noAuthentication},
		{ID: "6.7.2-1", Level: Must, Text: "Simple Password: what is sent and checked.", Excuse: Inapplicable, Reason: noAuthentication},
		{ID: "6.7.3-1", Level: Must, Text: "Keyed and Meticulous Keyed MD5: what is sent and checked.", Excuse: Inapplicable, Reason: noAuthentication},
		{ID: "6.7.4-1", Level: Must, Text: "Keyed and Meticulous Keyed SHA1: what is sent and checked.", Excuse: Inapplicable, Reason: noAuthentication},
		{ID: "6.8.1-1", Level: Must, Text: "What is known of the peer is kept for a Detection Time after its last packet, in any state."},
		{ID: "6.8.1-2", Level: Must, Text: "The own state and the peer's begin as Down."},
		{ID: "6.8.1-3", Level: Must, Text: "The local discriminator is no other session's and not zero."},
		{ID: "6.8.1-4", Level: Should, Text: "The local discriminator is random."},
		{ID: "6.8.1-5", Level: Must, Text: "The peer's discriminator begins as zero."},
		{ID: "6.8.1-6", Level: Must, Text: "The peer's discriminator becomes zero after a Detection Time of silence."},
		{ID: "6.8.1-7", Level: Must, Text: "The diagnostic begins as none."},
		{ID: "6.8.1-8", Level: Must, Text: "The desired transmit interval begins at a second or more."},
		{ID: "6.8.1-9", Level: Must, Text: "The peer's receive interval begins as one microsecond."},
		{ID: "6.8.1-10", Level: Must, Text: "Demand mode of the peer begins as off."},
		{ID: "6.8.1-11", Level: Must, Text: "The detect multiplier is not zero."},
		{ID: "6.8.1-12", Level: Must, Text: "The sequence numbers of authentication begin and end as told.", Excuse: Inapplicable, Reason: noAuthentication},
		{ID: "6.8.3-1", Level: Must, Text: "A changed transmit or receive interval begins a Poll Sequence."},
		{ID: "6.8.3-2", Level: MustNot, Text: "A longer transmit interval is in force while Up before its Poll Sequence has ended."},
		{ID: "6.8.3-3", Level: Must, Text: "A shorter receive interval enters the Detection Time while Up only when its Poll Sequence has ended."},
		{ID: "6.8.3-4", Level: Must, Text: "While not Up the desired transmit interval is a second or more."},
		{ID: "6.8.3-5", Level: Must, Text: "An interval that is shortened because the peer can take more is in force at once."},
		{ID: "6.8.3-6", Level: Should, Text: "While Echo is active the receive interval is a second or more.", Excuse: Inapplicable, Reason: noEcho},
		{ID: "6.8.3-7", Level: Must, Text: "A change that nothing holds back is in force at once."},
		{ID: "6.8.3-8", Level: Must, Text: "A further Poll Sequence waits until its answer can be told from that of the one before."},
		{ID: "6.8.4-1", Level: Must, Text: "After a Detection Time of silence an Init or Up session is Down with diagnostic 1."},
		{ID: "6.8.4-2", Level: Must, Text: "In Demand mode that is so after a Poll Sequence without an answer.", Excuse: Inapplicable, Reason: noDemand},
		{ID: "6.8.5-1", Level: Must, Text: "When Echo packets are missing the session is Down with diagnostic 2.", Excuse: Inapplicable, Reason: noEcho},
	}
}

// rfc5880Procedures is section 6.8.6 and what follows.
func rfc5880Procedures() []Requirement {
	return []Requirement{
		{ID: "6.8.6-1", Level: Must, Text: "The checks of a received packet are made in order, and what one of them discards goes no further."},
		{ID: "6.8.6-2", Level: Must, Text: "A packet of another version than 1 is discarded."},
		{ID: "6.8.6-3", Level: Must, Text: "One whose length is below 24, or 26 with authentication, is discarded."},
		{ID: "6.8.6-4", Level: Must, Text: "One whose length exceeds the payload is discarded."},
		{ID: "6.8.6-5", Level: Must, Text: "One with a detect multiplier of zero is discarded."},
		{ID: "6.8.6-6", Level: Must, Text: "One with the Multipoint bit is discarded."},
		{ID: "6.8.6-7", Level: Must, Text: "One with My Discriminator zero is discarded."},
		{ID: "6.8.6-8", Level: Must, Text: "One with Your Discriminator is given to the session that has it, or discarded."},
		{ID: "6.8.6-9", Level: Must, Text: "One with Your Discriminator zero is discarded unless its state is Down or AdminDown."},
		{ID: "6.8.6-10", Level: Must, Text: "Otherwise one with Your Discriminator zero is given to a session by other fields."},
		{ID: "6.8.6-11", Level: Must, Text: "An authenticated packet is discarded where no authentication is in use."},
		{ID: "6.8.6-12", Level: Must, Text: "One without authentication is discarded where it is in use.", Excuse: Inapplicable, Reason: noAuthentication},
		{ID: "6.8.6-13", Level: Must, Text: "An authenticated packet is authenticated.", Excuse: Inapplicable, Reason: noAuthentication},
		{ID: "6.8.6-14", Level: Must, Text: "A peer that returns no Echo packets is sent none.", Excuse: OneWay, Reason: "None is ever sent."},
		{ID: "6.8.6-15", Level: Must, Text: "Final ends the own Poll Sequence."},
		{ID: "6.8.6-16", Level: Step, Text: "In AdminDown a packet is discarded after what it says was noted."},
		{ID: "6.8.6-17", Level: Step, Text: "The state follows from the own one and the peer's by the state machine."},
		{ID: "6.8.6-18", Level: Must, Text: "With Demand mode active on the peer periodic packets cease."},
		{ID: "6.8.6-19", Level: Must, Text: "Without it they are sent."},
		{ID: "6.8.6-20", Level: Step, Text: "Only a packet that was not discarded counts for the Detection Time."},
		{ID: "6.8.7-1", Level: MustNot, Text: "Packets are sent more often than by the greater of the own desired and the peer's required interval."},
		{ID: "6.8.7-2", Level: Must, Text: "Each interval is shortened by a random part of up to 25 percent."},
		{ID: "6.8.7-3", Level: Must, Text: "With a multiplier of 1 the interval is between 75 and 90 percent."},
		{ID: "6.8.7-4", Level: Must, Text: "The interval is reckoned anew when either of its two values changes."},
		{ID: "6.8.7-5", Level: MustNot, Text: "A passive side sends while it does not know the peer's discriminator."},
		{ID: "6.8.7-6", Level: MustNot, Text: "Periodic packets are sent to a peer that requires none."},
		{ID: "6.8.7-7", Level: MustNot, Text: "They are sent while Demand mode is active on the peer and no Poll Sequence is."},
		{ID: "6.8.7-8", Level: Must, Text: "Poll is answered at once, by Final without Poll, whatever the timers and the state."},
		{ID: "6.8.7-9", Level: Must, Text: "Where such answers are limited, the transmit interval that is told is no shorter than the limit's.", Excuse: Inapplicable, Reason: "They are not limited."},
		{ID: "6.8.7-10", Level: MustNot, Text: "The Demand bit is set unless Demand mode is wanted and both sides are Up.", Excuse: OneWay, Reason: "halo never sets it."},
		{ID: "6.8.7-11", Level: Should, Text: "What differs from the packet before, a change of state above all, is told between the periodic packets."},
		{ID: "6.8.7-12", Level: Must, Text: "Packets have version 1, the length 24 and the fields of the session."},
		{ID: "6.8.8-1", Level: Must, Text: "Received Echo packets are given to their session, and missing ones noticed.", Excuse: Inapplicable, Reason: noEcho},
		{ID: "6.8.9-1", Level: MustNot, Text: "Echo packets are sent while not Up, to a peer that does not want them, or more often than it says.", Excuse: Inapplicable, Reason: noEcho},
		{ID: "6.8.14-1", Level: Must, Text: "When Demand mode ends on the peer periodic packets begin again."},
		{ID: "6.8.15-1", Level: Must, Text: "When the forwarding plane is reset the session is Down with diagnostic 4.", Excuse: Inapplicable, Reason: "The forwarding plane is Linux's and has no reset that halo would outlive."},
		{ID: "6.8.16-1", Level: Must, Text: "To disable a session it goes to AdminDown with a diagnostic, to enable it to Down."},
		{ID: "6.8.16-2", Level: Should, Text: "AdminDown is told for at least a Detection Time."},
		{ID: "6.8.17-1", Level: Must, Text: "To a peer in Demand mode a failure beyond the session is told by a Poll Sequence.", Excuse: Inapplicable, Reason: "halo's sessions tell of no paths but their own."},
		{ID: "6.8.18-1", Level: Must, Text: "Also of a session that is down, what the peer asked for is kept for a Detection Time."},
		{ID: "6.8.18-2", Level: Should, Text: "After that the peer's receive interval is one microsecond again."},
		{ID: "7-1", Level: Must, Text: "Over several hops congestion reduces what is sent: a Detection Time without a packet is taken for it, and leaves a packet a second."},
		{ID: "7-2", Level: Should, Text: "Over one hop it does, too."},
		{ID: "9-1", Level: Must, Text: "Over a single link packets leave with the greatest TTL there is."},
		{ID: "9-2", Level: Must, Text: "Over a single link one that arrives with another TTL is dropped."},
		{ID: "9-3", Level: Should, Text: "Over several hops packets are authenticated.", Excuse: Missing, Reason: noAuthentication},
	}
}
