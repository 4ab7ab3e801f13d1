package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
)

// TestMain plays the web server and the client where the tests start them: a
// part of the demonstration is this executable in another role.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == partWeb || os.Args[1] == partClient) {
		if err := run(context.Background(), os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestAnswerIsReadAsItWasPrinted(t *testing.T) {
	asked := time.Unix(1700000000, 123456789)
	for _, want := range []answer{
		{asked: asked, ended: asked.Add(time.Millisecond), server: "web1"},
		{asked: asked, ended: asked.Add(time.Second), failure: `dial: "connection refused"`},
	} {
		got, err := parseAnswer(want.String())
		if err != nil || !got.asked.Equal(want.asked) || !got.ended.Equal(want.ended) || got.server != want.server || got.failure != want.failure {
			t.Errorf("%v came back as %v, %v", want, got, err)
		}
	}
	if _, err := parseAnswer("not a line"); err == nil {
		t.Error("a line that is none was read")
	}
}

func TestAccount(t *testing.T) {
	start := time.Unix(1700000000, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	book := &diary{answers: []answer{
		{asked: at(0), ended: at(1), server: "web1"},
		{asked: at(20), ended: at(22), server: "web2"},
		{asked: at(40), ended: at(1050), server: "web2"},
		{asked: at(60), ended: at(61), failure: "refused"},
		{asked: at(400), ended: at(402), server: "web1"},
		{asked: at(2000), ended: at(2001), server: "web1"},
	}}
	all := book.during(at(0), at(1100))
	if all.answered["web1"] != 2 || all.answered["web2"] != 2 || len(all.failed) != 1 || all.late != 1 {
		t.Errorf("account is %+v", all)
	}
	// From the answer at 402 ms to the late one at 1050 ms.
	if want := 648 * time.Millisecond; all.blackout != want {
		t.Errorf("blackout is %v, want %v", all.blackout, want)
	}
	if got, want := all.String(), "5 requests, 1 failed; answered: 2 by web1, 2 by web2"; got != want {
		t.Errorf("account reads %q, want %q", got, want)
	}
	if got, want := book.during(at(0), at(30)).String(), "2 requests, all answered: 1 by web1, 1 by web2"; got != want {
		t.Errorf("account reads %q, want %q", got, want)
	}
	if got := book.during(at(5000), at(6000)); got.String() != "0 requests, none answered" || got.firstFailure() != "none" {
		t.Errorf("account of nothing reads %q", got)
	}
	if got := book.ended(at(100)); got != 2 {
		t.Errorf("%d requests ended of those asked later, want 2", got)
	}
}

func TestHexadecimal(t *testing.T) {
	if got, err := hexadecimal("192.0.2.21:80"); err != nil || got != "C0000215:0050" {
		t.Errorf("got %q, %v; want the kernel's C0000215:0050", got, err)
	}
	if _, err := hexadecimal("nonsense"); err == nil {
		t.Error("nonsense has a hexadecimal form")
	}
}

func TestNarratorAlignsAndKeepsColourOff(t *testing.T) {
	var out strings.Builder
	n := newNarrator(&out, false)
	n.now = func() time.Time { return n.started.Add(1500 * time.Millisecond) }
	n.begin("Title")
	n.say("one\ntwo")
	n.show("lb1", "halo status", "A  \n\nB\n\n")
	n.gap()
	n.print("end")
	want := "\n── 1. Title " + strings.Repeat("─", ruler-12) + "\n\n" +
		"  1.5 s  one\n         two\n" +
		"\n    lb1# halo status\n    A\n\n    B\n\nend\n"
	if out.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
	}
	if n.colour = true; n.bold("x") != "\x1b[1mx\x1b[0m" {
		t.Errorf("bold is %q", n.bold("x"))
	}
}

// TestNetworkAndPowerLoss plays the loss of power with a web server instead of
// a balancer: the client's blackout is seen, its end too, nothing is left.
func TestNetworkAndPowerLoss(t *testing.T) {
	kerneltest.RequireRoot(t)
	network, err := newNetwork()
	if err != nil {
		t.Fatal(err)
	}
	server, err := newWebServer(network, "web1", "192.0.2.21")
	if err != nil {
		t.Fatal(err)
	}
	c := &cast{diary: &diary{}, web1: server, directory: t.TempDir()}
	t.Cleanup(func() {
		if err := c.leave(); err != nil {
			t.Error(err)
		}
	})
	if c.client, err = network.host("client", "192.0.2.101/24", "192.0.2.102/24"); err != nil {
		t.Fatal(err)
	}
	command, err := part(partClient, "192.0.2.21:80", "192.0.2.101", "192.0.2.102")
	if err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.client.start(command); err != nil {
		t.Fatal(err)
	}
	go c.diary.read(output)
	story := &story{narrator: newNarrator(t.Output(), false), ctx: t.Context(), cast: c}
	started := time.Now()
	if err := story.answeredAfter(started); err != nil {
		t.Fatal(err)
	}

	off, err := server.powerOff()
	if err != nil {
		t.Fatal(err)
	}
	if pids, err := server.pids(); err != nil || len(pids) != 0 {
		t.Errorf("processes %v are left, %v", pids, err)
	}
	if present, err := server.has("192.0.2.21"); err != nil || !present {
		t.Errorf("the address must outlive the power: %t, %v", present, err)
	}
	time.Sleep(100 * time.Millisecond)
	if err := errors.Join(server.serve(), server.plug()); err != nil {
		t.Fatal(err)
	}
	if err := story.answeredAfter(time.Now()); err != nil {
		t.Fatal(err)
	}
	if met := c.diary.during(off.Add(-time.Second), time.Now()); met.blackout < 100*time.Millisecond {
		t.Errorf("the blackout of 100 ms and more was measured as %v; %v", met.blackout, met)
	}
	quiet, err := story.watch(200 * time.Millisecond)
	if err != nil || len(quiet.failed) > 0 || quiet.answered["web1"] == 0 {
		t.Errorf("after the return: %v, %v", quiet, err)
	}
}

func TestInTableReadsTheKernelsTable(t *testing.T) {
	kerneltest.RequireIPVS(t)
	kerneltest.RequireTool(t, "ipvsadm")
	network, err := newNetwork()
	if err != nil {
		t.Fatal(err)
	}
	host, err := network.host("lb1", "192.0.2.1/24")
	if err != nil {
		t.Fatal(err)
	}
	table := func(args ...string) {
		t.Helper()
		if err := network.pilot.visit(host.namespace, func() error { return runTool(t, "ipvsadm", args...) }); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want bool) {
		t.Helper()
		if got, err := host.inTable("192.0.2.21:80"); err != nil || got != want {
			t.Errorf("in the table: %t, %v; want %t", got, err, want)
		}
	}
	table("-A", "-t", service, "-s", "mh")
	expect(false)
	table("-a", "-t", service, "-r", "192.0.2.21:80", "-g", "-w", "3")
	expect(true)
	table("-e", "-t", service, "-r", "192.0.2.21:80", "-g", "-w", "0")
	expect(false)
}

func runTool(t *testing.T, name string, args ...string) error {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), kerneltest.ToolPath(name), args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %q: %w: %s", name, args, err, output)
	}
	return nil
}
