package conformance

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/halo-ha/halo/sdk/internal/handshake"
	"github.com/halo-ha/halo/sdk/schema"
)

var (
	loopback        = netip.MustParseAddr("127.0.0.1")       //nolint:gochecknoglobals // A constant.
	loopbackDiscard = netip.MustParseAddrPort("127.0.0.1:9") //nolint:gochecknoglobals // A constant.
)

func handshakeCases() []testCase {
	return []testCase{
		{"handshake", "first_line", firstLine},
		{"handshake", "without_cookie", withoutCookie},
		{"handshake", "connects", with(func(context.Context, *kit, *process) error { return nil })},
	}
}

// firstLine reads what the program prints before anything else: a stray print
// there is what most often keeps a plugin from starting.
func firstLine(ctx context.Context, k *kit) error {
	ctx, cancel := context.WithTimeout(ctx, k.Patience)
	defer cancel()
	dir, err := os.MkdirTemp("", "halo-plugin-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cmd := k.command(ctx)
	cmd.Env = append(cmd.Env, handshake.CookieEnv+"="+handshake.Cookie, "PLUGIN_PROTOCOL_VERSIONS=1", "PLUGIN_UNIX_SOCKET_DIR="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	line, readErr := bufio.NewReader(out).ReadString('\n')
	cancel()
	_ = cmd.Wait() // It was killed.
	if readErr != nil {
		return fmt.Errorf("no line on standard output (%w); what came: %q", readErr, line)
	}
	parts := strings.Split(strings.TrimSpace(line), "|")
	if len(parts) < 5 || parts[0] != "1" || parts[1] != "1" || parts[2] != "unix" || parts[4] != "grpc" {
		return fmt.Errorf("the first line on standard output is %q, want 1|1|unix|PATH|grpc", line)
	}
	if !strings.HasPrefix(parts[3], dir+"/") {
		return fmt.Errorf("the socket %s is not in PLUGIN_UNIX_SOCKET_DIR", parts[3])
	}
	return nil
}

// withoutCookie is a person who runs the program by hand.
func withoutCookie(ctx context.Context, k *kit) error {
	for _, env := range [][]string{nil, {handshake.CookieEnv + "=wrong"}} {
		out, errOut, code, err := k.call(ctx, env)
		switch {
		case err != nil:
			return fmt.Errorf("run by hand: %w", err)
		case code == 0:
			return errors.New("run by hand, it exits with 0")
		case len(out) > 0:
			return fmt.Errorf("run by hand, it prints %q on standard output", out)
		case len(bytes.TrimSpace(errOut)) == 0:
			return errors.New("run by hand, it does not say on standard error what it is")
		}
	}
	return nil
}

func describeCases() []testCase {
	return []testCase{
		{"describe", "well_formed", wellFormed},
		{"describe", "alone_on_stdout", aloneOnStdout},
		{"describe", "same_over_rpc", with(sameOverRPC)},
		{"describe", "version_and_help", versionAndHelp},
		{"describe", "unknown_argument", unknownArgument},
	}
}

func wellFormed(_ context.Context, k *kit) error {
	if problems := schema.CheckPlugin(k.described); len(problems) > 0 {
		return &schema.SettingsError{Problems: problems}
	}
	if !slices.Contains(k.described.Protocols, handshake.Version) {
		return fmt.Errorf("it speaks protocols %v, this kit speaks %d", k.described.Protocols, handshake.Version)
	}
	if name := filepath.Base(k.Path); strings.HasPrefix(name, "halo-") && name != k.described.Name {
		return fmt.Errorf("the file is called %s and it calls itself %s", name, k.described.Name)
	}
	return nil
}

// aloneOnStdout reads the JSON strictly: a later field is fine, a log line
// around it is not.
func aloneOnStdout(ctx context.Context, k *kit) error {
	begin := time.Now()
	out, _, _, err := k.call(ctx, nil, "describe")
	if err != nil {
		return err
	}
	if took := time.Since(begin); took > k.Patience/2 {
		return fmt.Errorf("it takes %v", took)
	}
	if len(out) >= mostOutput {
		return errors.New("it prints more than 1 MiB")
	}
	d := json.NewDecoder(bytes.NewReader(out))
	var object map[string]json.RawMessage
	if err := d.Decode(&object); err != nil {
		return fmt.Errorf("standard output is not one JSON object: %w", err)
	}
	if d.More() {
		return errors.New("something follows the JSON object on standard output")
	}
	return nil
}

func sameOverRPC(ctx context.Context, k *kit, p *process) error {
	answered, err := p.Describe(ctx)
	if err != nil {
		return err
	}
	printed, err := json.Marshal(k.described)
	if err != nil {
		return err
	}
	over, err := json.Marshal(answered)
	if err != nil {
		return err
	}
	if !bytes.Equal(printed, over) {
		return fmt.Errorf("it prints\n  %s\nand answers\n  %s", printed, over)
	}
	return nil
}

func versionAndHelp(ctx context.Context, k *kit) error {
	for _, word := range []string{"version", "--help"} {
		out, _, code, err := k.call(ctx, nil, word)
		if err != nil {
			return fmt.Errorf("%s: %w", word, err)
		}
		if code != 0 || len(out) == 0 {
			return fmt.Errorf("%s: exit code %d, %d bytes on standard output", word, code, len(out))
		}
	}
	return nil
}

func unknownArgument(ctx context.Context, k *kit) error {
	out, errOut, code, err := k.call(ctx, nil, "no-such-command")
	if err != nil {
		return err
	}
	if code == 0 || len(out) > 0 || len(errOut) == 0 {
		return fmt.Errorf("an unknown argument gives exit code %d, %d bytes on standard output, %d on standard error", code, len(out), len(errOut))
	}
	return nil
}
