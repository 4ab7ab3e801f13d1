package ledger_test

import (
	"strings"
	"testing"

	"github.com/halo-ha/halo/core/vrrp/ledger"
)

// document is an RFC 1 of these requirements.
func document(requirements ...ledger.Requirement) []ledger.Document {
	return []ledger.Document{{Number: 1, Title: "An RFC", Note: "All of it.", Requirements: requirements}}
}

// positive and negative are annotations of RFC 1.
func positive(id string) ledger.Annotation {
	return ledger.Annotation{ID: "1/" + id, Positive: true, Test: "a.TestP", At: "a_test.go:1"}
}

func negative(id string) ledger.Annotation {
	return ledger.Annotation{ID: "1/" + id, Negative: true, Test: "a.TestN", At: "a_test.go:2"}
}

// What a requirement needs, by level and by excuse.
func TestCheckProofs(t *testing.T) {
	p, n := []ledger.Annotation{positive("1-1")}, []ledger.Annotation{negative("1-1")}
	both := []ledger.Annotation{positive("1-1"), negative("1-1")}
	const noPositive, noNegative, stale = "no positive test", "no negative test", "is proven, and excused"
	for _, tt := range []struct {
		level  ledger.Level
		excuse ledger.Excuse
		proofs []ledger.Annotation
		want   string
	}{
		{ledger.Must, ledger.NoExcuse, both, ""},
		{ledger.Must, ledger.NoExcuse, p, noNegative},
		{ledger.Must, ledger.NoExcuse, n, noPositive},
		{ledger.Must, ledger.NoExcuse, nil, noPositive},
		{ledger.MustNot, ledger.NoExcuse, p, noNegative},
		{ledger.Step, ledger.NoExcuse, p, noNegative},
		{ledger.Should, ledger.NoExcuse, p, ""},
		{ledger.Should, ledger.NoExcuse, n, noPositive},
		{ledger.ShouldNot, ledger.NoExcuse, nil, noPositive},
		{ledger.Must, ledger.Missing, nil, ""},
		{ledger.Must, ledger.Missing, p, ""},
		{ledger.Must, ledger.Missing, both, stale},
		{ledger.Should, ledger.Kernel, nil, ""},
		{ledger.Should, ledger.Operator, p, stale},
		{ledger.Must, ledger.Departs, both, ""},
		{ledger.Must, ledger.OneWay, p, ""},
		{ledger.Must, ledger.OneWay, n, ""},
		{ledger.Must, ledger.OneWay, nil, "in both ways, or in none"},
		{ledger.Must, ledger.OneWay, both, stale},
		{ledger.Should, ledger.Inapplicable, nil, ""},
	} {
		r := ledger.Requirement{ID: "1-1", Level: tt.level, Text: "It is so.", Excuse: tt.excuse}
		if tt.excuse != ledger.NoExcuse {
			r.Reason = "It is not."
		}
		wants(t, ledger.Check(document(r), tt.proofs), tt.want)
	}
}

// What is wrong with a table, or names nothing in it.
func TestCheckTables(t *testing.T) {
	good := ledger.Requirement{ID: "2.1-1", Text: "It is so.", Excuse: ledger.Kernel, Reason: "It is not."}
	changed := func(change func(r *ledger.Requirement)) []ledger.Document {
		r := good
		change(&r)
		return document(good, r)
	}
	second := func(id string) []ledger.Document {
		return changed(func(r *ledger.Requirement) { r.ID = id })
	}
	for _, id := range []string{"2.1-2", "2.1-10", "2.1.1-1", "2.2-1", "2.10-1", "3-1", "10-1"} {
		wants(t, ledger.Check(second(id), nil), "")
	}
	for _, id := range []string{"2-1", "1-1", "2.0.9-1"} {
		wants(t, ledger.Check(second(id), nil), "stands behind 2.1-1")
	}
	wants(t, ledger.Check(second("2.1-1"), nil), "there are two of them")
	for _, id := range []string{"2.2", "3.x-1", "3-01"} {
		wants(t, ledger.Check(second(id), nil), "is not of the form")
	}
	next := func(change func(r *ledger.Requirement)) []ledger.Document {
		return changed(func(r *ledger.Requirement) {
			r.ID = "2.1-2"
			change(r)
		})
	}
	for _, text := range []string{"", "no sentence", "with a | in it.", " with a blank before it.", "of two\nlines."} {
		wants(t, ledger.Check(next(func(r *ledger.Requirement) { r.Text = text }), nil), "text is not a sentence")
	}
	wants(t, ledger.Check(next(func(r *ledger.Requirement) { r.Reason = "" }), nil), "needs a reason")
	wants(t, ledger.Check(next(func(r *ledger.Requirement) { r.Excuse = ledger.NoExcuse }), nil), "needs a reason")
	wants(t, ledger.Check(next(func(r *ledger.Requirement) { r.Reason = "none" }), nil), "reason is not a sentence")
	wants(t, ledger.Check(document(good), []ledger.Annotation{positive("2.1-2")}), "a_test.go:1: 1/2.1-2 is no requirement")
}

// wants says that there is exactly one problem, or none.
func wants(t *testing.T, problems []string, want string) {
	t.Helper()
	if want == "" && len(problems) != 0 || want != "" && (len(problems) != 1 || !strings.Contains(problems[0], want)) {
		t.Errorf("problems %q, want %q", problems, want)
	}
}

// A test that says the same twice, or in two files, is one.
func TestPage(t *testing.T) {
	page := ledger.Page(document(
		ledger.Requirement{ID: "1-1", Text: "It is so."},
		ledger.Requirement{ID: "1.2-1", Level: ledger.Should, Text: "It is better so."},
		ledger.Requirement{ID: "1.2-2", Level: ledger.MustNot, Text: "It is not so.", Excuse: ledger.Missing, Reason: "It is."},
		ledger.Requirement{ID: "2-1", Text: "It is ever so.", Excuse: ledger.Departs, Reason: "It is not on Sundays."},
	), []ledger.Annotation{
		positive("1-1"), positive("1-1"), negative("1-1"), positive("1.2-1"), positive("2-1"), negative("2-1"),
		{ID: "1/1-1", Positive: true, Test: "b.TestQ (a|b)"},
	})
	for _, want := range []string{
		"| [RFC 1](#rfc-1) | 4 | 2 | 0 | 0 | 0 | 0 | 1 | 1 |\n",
		"\n## RFC 1\n\nAn RFC. All of it.\n",
		"\n| 1-1 | MUST | It is so. | a.TestP<br>b.TestQ (a\\|b) | a.TestN | proven |\n",
		"\n| 1.2-1 | SHOULD | It is better so. | a.TestP |  | proven (positive) |\n",
		"\n| 1.2-2 | MUST NOT | It is not so. |  |  | missing: It is. |\n",
		"\n| 2-1 | MUST | It is ever so. | a.TestP | a.TestN | proven, and departs: It is not on Sundays. |\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	for value, want := range map[string]string{
		ledger.Step.String(): "step", ledger.ShouldNot.String(): "SHOULD NOT", ledger.Level(9).String(): "level 9",
		ledger.Kernel.String(): "left to Linux", ledger.Excuse(9).String(): "excuse 9",
	} {
		if value != want {
			t.Errorf("%q, want %q", value, want)
		}
	}
}
