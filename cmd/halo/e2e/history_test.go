package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/halo-ha/halo/core/control"
	"github.com/halo-ha/halo/core/journal"
	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// transitions are the changes of an instance's state that halo has told since its
// last start, oldest first, each from where the one before led to.
func transitions(t *testing.T, h *lab.Halo, instance string) []string {
	t.Helper()
	var list []string
	state := "initialize"
	for line := range strings.Lines(h.Output()) {
		var event struct{ Msg, Instance, From, To string }
		if json.Unmarshal([]byte(line), &event) != nil || event.Msg != "virtual router changed state" || event.Instance != instance {
			continue
		}
		if event.From != state {
			t.Errorf("%s is told to go from %s to %s, but was %s", instance, event.From, event.To, state)
		}
		state = event.To
		list = append(list, event.From+" -> "+event.To)
	}
	return list
}

// waitTransitions waits until these are the changes told: what is told of a change
// follows it.
func waitTransitions(t *testing.T, h *lab.Halo, instance string, want ...string) {
	t.Helper()
	lab.Eventually(t, fmt.Sprintf("%s has gone %q", instance, want), func() bool {
		return slices.Equal(transitions(t, h, instance), want)
	})
}

// lastTold is the state that an instance has been told to be in last.
func lastTold(t *testing.T, h *lab.Halo, instance string) string {
	t.Helper()
	list := transitions(t, h, instance)
	if len(list) == 0 {
		return "initialize"
	}
	_, state, _ := strings.Cut(list[len(list)-1], " -> ")
	return state
}

// lastEvent is the state that an instance is in by the last event of it, as who is
// notified gets it.
func lastEvent(t *testing.T, h *lab.Halo, instance string) string {
	t.Helper()
	all, err := control.NewClient(h.Socket()).Events(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range slices.Backward(all.Events) {
		if e.Kind == journal.State && e.Object == (journal.Object{Type: journal.Instance, Name: instance}) {
			return e.To
		}
	}
	return ""
}

// cut has a switch lose the advertisements that a rule's words match, "" for all
// of both families, and returns what heals it.
func cut(t *testing.T, n *lab.Network, match string) (heal func()) {
	t.Helper()
	nft := func(commands string) string {
		t.Helper()
		out, err := n.Output("nft", commands)
		if err != nil {
			t.Fatalf("nft %s: %v\n%s", commands, err, out)
		}
		return out
	}
	nft("add table bridge loss; add chain bridge loss forward { type filter hook forward priority 0; }; " +
		"add rule bridge loss forward meta l4proto 112 " + match + " counter drop")
	return func() {
		t.Helper()
		if list := nft("list table bridge loss"); strings.Contains(list, "packets 0 ") {
			t.Errorf("nothing was lost: %s", list)
		}
		nft("delete table bridge loss")
	}
}
