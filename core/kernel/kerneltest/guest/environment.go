package guest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ConfigFromEnvironment makes the wrapper's Config: the command line it was
// given, the working directory, and the HALO_GUEST_* variables of the package
// comment.
func ConfigFromEnvironment(args []string) (Config, error) {
	executable, err := os.Executable()
	if err != nil {
		return Config{}, fmt.Errorf("find own executable: %w", err)
	}
	directory, err := os.Getwd()
	if err != nil {
		return Config{}, fmt.Errorf("find working directory: %w", err)
	}
	config := Config{
		Dir:      directory,
		Env:      passedOn(os.Environ(), list("HALO_GUEST_ENV")),
		Files:    list("HALO_GUEST_FILES"),
		Programs: list("HALO_GUEST_PROGRAMS"),
		Collect:  map[string]string{},
		Stdout:   os.Stdout,
		Stderr:   os.Stderr,
		Init:     executable,
		KVM:      os.Getenv("HALO_GUEST_KVM") == "1",
	}
	if os.Getenv("HALO_GUEST_CONSOLE") == "1" {
		config.Console = os.Stderr
	}
	if config.Memory, err = number("HALO_GUEST_MEMORY"); err != nil {
		return Config{}, err
	}
	if text := os.Getenv("HALO_GUEST_TIMEOUT"); text != "" {
		if config.Limit, err = time.ParseDuration(text); err != nil {
			return Config{}, fmt.Errorf("read HALO_GUEST_TIMEOUT: %w", err)
		}
	}
	for _, path := range list("HALO_GUEST_COLLECT") {
		absolute, err := filepath.Abs(path)
		if err != nil {
			return Config{}, err
		}
		config.Collect[absolute] = absolute
	}
	config.Args = testArguments(args, config.Collect)
	return config, nil
}

// testArguments treats the arguments by which go test names files of the host:
// profiles come back, the directory for raw coverage becomes one that the guest
// has, the log of opened files (for go test's cache, which a
// wrapper's result never enters) is left out.
func testArguments(args []string, collect map[string]string) []string {
	kept := make([]string, 0, len(args))
	for _, argument := range args {
		name, value, _ := strings.Cut(argument, "=")
		switch name {
		case "-test.testlogfile":
			continue
		case "-test.gocoverdir":
			argument = name + "=/tmp"
		case "-test.coverprofile", "-test.cpuprofile", "-test.memprofile", "-test.blockprofile", "-test.mutexprofile", "-test.trace":
			if path, err := filepath.Abs(value); err == nil {
				collect[path] = path
			}
		}
		kept = append(kept, argument)
	}
	return kept
}

// passedOn selects the variables a test may look at.
func passedOn(environ, names []string) []string {
	wanted := map[string]bool{"CI": true, "TERM": true, "COLUMNS": true, "LINES": true, "NO_COLOR": true}
	for _, name := range names {
		wanted[name] = true
	}
	var kept []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if wanted[name] || strings.HasPrefix(name, "HALO_") || strings.HasPrefix(name, "GO") && name != "GOROOT" {
			kept = append(kept, entry)
		}
	}
	return kept
}

// list splits a variable at spaces, commas and colons.
func list(name string) []string {
	return strings.FieldsFunc(os.Getenv(name), func(r rune) bool { return strings.ContainsRune(" \t\n,:", r) })
}

func number(name string) (int, error) {
	text := os.Getenv(name)
	if text == "" {
		return 0, nil
	}
	value, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", name, err)
	}
	return value, nil
}
