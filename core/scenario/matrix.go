package scenario

import (
	"strings"
	"testing"
)

// Stage plays what one cell of a Matrix is made of.
type Stage interface {
	// Run carries out the commands of a script.
	Run(script string)
	// Standing says what holds now.
	Standing() string
	// Trace is what was written down.
	Trace() string
}

// Column is an event of a matrix: its script has "%" for the version that
// something has in the state.
type Column struct{ Name, Script string }

// Row is a state of a matrix: the script that leads there, the version, and what
// holds after the event of each column.
type Row struct {
	Name, Version, Script string
	Want                  []string
}

// Matrix plays every event in every state, each on a stage of its own.
func Matrix(t *testing.T, columns []Column, rows []Row, begin func(t *testing.T) Stage) {
	t.Helper()
	for _, row := range rows {
		if len(row.Want) != len(columns) {
			t.Fatalf("%s: %d cells for %d events", row.Name, len(row.Want), len(columns))
		}
		for i, column := range columns {
			t.Run(row.Name+"/"+column.Name, func(t *testing.T) {
				s := begin(t)
				s.Run(row.Script)
				s.Run(strings.ReplaceAll(column.Script, "%", row.Version))
				if got := s.Standing(); got != row.Want[i] {
					t.Errorf("it is %q, want %q; trace:\n%s", got, row.Want[i], s.Trace())
				}
			})
		}
	}
}
