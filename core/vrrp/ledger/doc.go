// Package ledger keeps account of what the RFCs demand of core/vrrp and core/bfd
// and of the tests that prove it: every MUST, MUST NOT, SHOULD and SHOULD NOT, and
// every step of a procedure, in words of its own.
//
// It reads source files and writes one page, core/vrrp/RFC.md. It runs no other
// package's code, and no program links it. Its test fails when a requirement is
// neither proven nor excused, when an annotation names none, and when the page is
// not what the tables and the annotations make; `go test ./core/vrrp/ledger
// -rewrite` writes it.
//
// A test says what it proves in a comment directly above it, or above the row of a
// table or the t.Run within it:
//
//	//rfc:9568/7.1-1 positive negative
//
// Positive: what the sentence demands is seen to happen. Negative: what it forbids,
// or what it does not ask for, is seen not to happen; of a check on what is
// received, positive is that the good packet counts, negative that the bad one does
// not. Put it there only if the test fails when the sentence is broken.
//
// The tables were held against the texts of the RFCs, key word by key word. What a
// section says twice, or of one thing in several words, is one requirement.
//
// Read Requirement first, then one of the tables.
package ledger
