package ledger

import (
	"fmt"
	"strings"
)

const head = `# What the RFCs demand, and what proves it

Written by ` + "`go test ./core/vrrp/ledger -rewrite`" + ` from the tables in core/vrrp/ledger and the annotations of the tests; do not edit.
The words are ours: the RFC decides. Those of a MUST NOT and a SHOULD NOT are what is not to be. A *step* is one of a procedure that the RFC tells without a MUST, and counts as one.
Positive: what is demanded is seen to happen. Negative: what is forbidden, or not asked for, is seen not to happen; of a check on what is received, positive is that the good packet counts, and negative that the bad one does not.
What is proven and departs is done, but for what the reason says. A MUST without both tests has a reason, or ` + "`make test`" + ` fails.
`

// Page is RFC.md.
func Page(documents []Document, annotations []Annotation) string {
	var b strings.Builder
	b.WriteString(head)
	proofs := proofsOf(annotations)
	b.WriteString("\n| | requirements |")
	kinds := []Excuse{OneWay, Inapplicable, Kernel, Operator, Departs, Missing}
	b.WriteString(" proven |")
	for _, k := range kinds {
		fmt.Fprintf(&b, " %v |", k)
	}
	b.WriteString("\n|---|---|---|" + strings.Repeat("---|", len(kinds)) + "\n")
	for _, d := range documents {
		counts := map[Excuse]int{}
		for _, r := range d.Requirements {
			counts[r.Excuse]++
		}
		fmt.Fprintf(&b, "| [RFC %d](#rfc-%d) | %d | %d |", d.Number, d.Number, len(d.Requirements), counts[NoExcuse])
		for _, k := range kinds {
			fmt.Fprintf(&b, " %d |", counts[k])
		}
		b.WriteString("\n")
	}
	for _, d := range documents {
		fmt.Fprintf(&b, "\n## RFC %d\n\n%s. %s\n\n", d.Number, d.Title, d.Note)
		b.WriteString("| section | level | what it demands | positive | negative | status |\n|---|---|---|---|---|---|\n")
		for _, r := range d.Requirements {
			p := proofs[fmt.Sprintf("%d/%s", d.Number, r.ID)]
			fmt.Fprintf(&b, "| %s | %v | %s | %s | %s | %s |\n", r.ID, r.Level, r.Text, cell(p.positive), cell(p.negative), r.status(p))
		}
	}
	return b.String()
}

// cell lists tests in a table.
func cell(tests []string) string {
	return strings.ReplaceAll(strings.Join(tests, "<br>"), "|", `\|`)
}

func (r Requirement) status(p proof) string {
	switch {
	case r.Excuse == Departs && len(p.positive) > 0 && len(p.negative) > 0:
		return "proven, and departs: " + r.Reason
	case r.Excuse != NoExcuse:
		return fmt.Sprintf("%v: %s", r.Excuse, r.Reason)
	case len(p.negative) == 0:
		return "proven (positive)"
	}
	return "proven"
}
