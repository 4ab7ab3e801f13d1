package ledger

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Check says what is wrong with the tables, with the annotations, and which
// requirements are neither proven nor excused.
func Check(documents []Document, annotations []Annotation) []string {
	var problems []string
	proofs := proofsOf(annotations)
	known := map[string]bool{}
	for _, d := range documents {
		last := Requirement{}
		for _, r := range d.Requirements {
			id := fmt.Sprintf("%d/%s", d.Number, r.ID)
			switch {
			case known[id]:
				problems = append(problems, id+": there are two of them")
			case last.ID != "" && compareIDs(last.ID, r.ID) >= 0:
				problems = append(problems, id+": stands behind "+last.ID)
			}
			known[id], last = true, r
			if why := r.wrong(proofs[id]); why != "" {
				problems = append(problems, id+": "+why)
			}
		}
	}
	for _, a := range annotations {
		if !known[a.ID] {
			problems = append(problems, fmt.Sprintf("%s: %s is no requirement", a.At, a.ID))
		}
	}
	return problems
}

// requirementID is the form of an ID.
var requirementID = regexp.MustCompile(`^\d+(\.\d+)*-[1-9]\d*$`)

// wrong says what is wrong with one requirement and its tests.
func (r Requirement) wrong(p proof) string {
	positive, negative := len(p.positive) > 0, len(p.negative) > 0
	proven := positive && (negative || !r.Level.binds())
	switch {
	case !requirementID.MatchString(r.ID):
		return "is not of the form SECTION-N"
	case !sentence(r.Text):
		return "its text is not a sentence"
	case (r.Excuse == NoExcuse) != (r.Reason == ""):
		return "an excuse needs a reason, and a reason an excuse"
	case r.Reason != "" && !sentence(r.Reason):
		return "its reason is not a sentence"
	case proven && r.Excuse != NoExcuse && r.Excuse != Departs:
		return fmt.Sprintf("is proven, and excused (%v)", r.Excuse)
	case r.Excuse == OneWay && positive == negative:
		return "is proven in both ways, or in none"
	case !proven && r.Excuse == NoExcuse && !positive:
		return "has no positive test, and no reason why"
	case !proven && r.Excuse == NoExcuse:
		return "has no negative test, and no reason why"
	}
	return ""
}

func sentence(s string) bool {
	return strings.HasSuffix(s, ".") && !strings.ContainsAny(s, "|\n") && s == strings.TrimSpace(s)
}

// proof is the tests that a requirement has.
type proof struct{ positive, negative []string }

func proofsOf(annotations []Annotation) map[string]proof {
	proofs := map[string]proof{}
	for _, a := range annotations {
		p := proofs[a.ID]
		if a.Positive && !slices.Contains(p.positive, a.Test) {
			p.positive = append(p.positive, a.Test)
		}
		if a.Negative && !slices.Contains(p.negative, a.Test) {
			p.negative = append(p.negative, a.Test)
		}
		proofs[a.ID] = p
	}
	return proofs
}

// compareIDs orders "6.4.2-3" behind "6.4.2-2" and before "6.4.10-1".
func compareIDs(a, b string) int {
	return slices.Compare(numbers(a), numbers(b))
}

// numbers are those of an ID; what is none counts as zero.
func numbers(id string) []int {
	section, n, _ := strings.Cut(id, "-")
	var list []int
	for part := range strings.SplitSeq(section, ".") {
		number, _ := strconv.Atoi(part)
		list = append(list, number)
	}
	number, _ := strconv.Atoi(n)
	// A section's own sentences come before those of its parts.
	return append(list, -1, number)
}
