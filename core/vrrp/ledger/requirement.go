package ledger

import (
	"fmt"
	"strings"
)

// Document is one RFC.
type Document struct {
	Number int
	Title  string
	// Note says what of it was read, and which errata.
	Note         string
	Requirements []Requirement
}

// Requirement is one sentence of an RFC that asks for something.
type Requirement struct {
	// ID is the section and a number within it, "6.4.2-3". It never changes:
	// annotations name it, behind the number of the RFC.
	ID    string
	Level Level
	// Text says it in our words.
	Text string
	// Excuse says why tests for it are missing, and Reason in what way. Both
	// are empty where there is nothing to excuse.
	Excuse Excuse
	Reason string
}

// Section is the part of the RFC it stands in.
func (r Requirement) Section() string {
	section, _, _ := strings.Cut(r.ID, "-")
	return section
}

// Level is how much an RFC insists (RFC 2119).
type Level uint8

// The levels.
const (
	Must Level = iota
	MustNot
	Should
	ShouldNot
	// Step is one of a procedure that an RFC tells without such a word, the
	// state machines above all. It counts as a MUST.
	Step
)

// String is the level's word on the page.
func (l Level) String() string {
	switch l {
	case Must:
		return "MUST"
	case MustNot:
		return "MUST NOT"
	case Should:
		return "SHOULD"
	case ShouldNot:
		return "SHOULD NOT"
	case Step:
		return "step"
	default:
		return fmt.Sprintf("level %d", uint8(l))
	}
}

// binds says that both sides of it have to be proven.
func (l Level) binds() bool { return l != Should && l != ShouldNot }

// Excuse is why a requirement has fewer tests than it should.
type Excuse uint8

// The excuses.
const (
	// NoExcuse: it is to be proven.
	NoExcuse Excuse = iota
	// Inapplicable: it speaks of something that halo does not have.
	Inapplicable
	// Kernel: Linux does it, by itself or as halo has set it up.
	Kernel
	// Operator: it is for whoever writes the configuration.
	Operator
	// OneWay: there is no other side that a test could see.
	OneWay
	// Departs: halo does something else, on purpose.
	Departs
	// Missing: halo does not do it.
	Missing
)

// String is the excuse's word on the page.
func (e Excuse) String() string {
	switch e {
	case NoExcuse:
		return "not proven"
	case Inapplicable:
		return "does not apply"
	case Kernel:
		return "left to Linux"
	case Operator:
		return "left to the operator"
	case OneWay:
		return "proven one way"
	case Departs:
		return "departs"
	case Missing:
		return "missing"
	default:
		return fmt.Sprintf("excuse %d", uint8(e))
	}
}

// Documents are all that are kept account of.
func Documents() []Document {
	return []Document{rfc9568(), rfc3768(), rfc5880(), rfc5881(), rfc5883()}
}
