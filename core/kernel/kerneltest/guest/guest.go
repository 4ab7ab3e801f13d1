// Package guest runs a program in a throw-away virtual machine with Debian's
// cloud kernel: the test kernel. It is where halo's tests meet what the host's
// kernel may lack (IPVS with every scheduler, dummy, vrf, netem, ipip) and what
// a test must not do to the host (its routes, its IPVS table, its sysctls).
//
// Nothing is installed and no privilege is needed: the kernel is Debian's
// linux-image-cloud-amd64, fetched by "apt-get download" and unpacked into an
// ignored directory; the machine is qemu-system-x86_64 with two processors
// emulated in software, without network, disk or any other door to the host.
// The root file system is an archive in memory, made anew for every run from
// busybox, the kernel's modules, the network tools found on the host with their
// shared libraries, and the program under test. The program's output comes back
// over a serial port of its own, framed, so that the kernel's console never
// mixes with it; so do its exit code and the files that were asked for.
//
// The package never writes outside its cache directory and the paths it was
// told to collect, and never talks to a network other than through apt-get.
//
// # As a wrapper for go test
//
//	CGO_ENABLED=0 go build -o .tools/halo-guest ./core/kernel/kerneltest/guest/halo-guest
//	CGO_ENABLED=0 go test -exec "$PWD/.tools/halo-guest" ./core/kernel/ipvsnl/
//
// runs the package's tests in the guest, in a directory of the same name with a
// copy of testdata, and ends with their exit code. The same command runs any
// other program or script:
//
//	.tools/halo-guest /bin/sh -c 'ipvsadm -A -t 192.0.2.1:80 -s mh && ipvsadm -Ln'
//	.tools/halo-guest ./reproduce.sh argument
//
// The program finds HALO_GUEST=1 in its environment. These variables steer the
// wrapper; lists are separated by spaces, commas or colons:
//
//	HALO_GUEST_FILES     files and directories to copy in, at the same path
//	HALO_GUEST_PROGRAMS  programs of the host to copy in, beside the usual ones
//	HALO_GUEST_ENV       names of variables to pass on, beside HALO_*, CI and GO*
//	HALO_GUEST_COLLECT   files to bring back at the end, to the same path
//	HALO_GUEST_MEMORY    memory in MiB (default 1024)
//	HALO_GUEST_TIMEOUT   limit of the whole run (default 20m)
//	HALO_GUEST_CACHE     where the kernel is kept (default .cache/guest of the module)
//	HALO_GUEST_CONSOLE   1: show the kernel's console on standard error
//	HALO_GUEST_KVM       1: use KVM; without it the processors are emulated
//
// # As a package
//
// Read [Config] first, then [Run]. The other half, [Init], is process 1 of the
// guest: the same executable, found out by its process id.
package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Config says what to run in the guest and what to give it.
type Config struct {
	// Args is the program, as a path on the host, and its arguments.
	Args []string
	// Dir is the working directory. The directory is made in the guest; of its
	// content only testdata is copied. Empty means the root directory.
	Dir string
	// Env is added to the guest's own environment, as "name=value".
	Env []string
	// Files are copied in with everything below them: "path", or
	// "path=path in the guest".
	Files []string
	// Programs are names of the host's programs to copy in with their shared
	// libraries, beside those that every guest gets. One that the host does not
	// have is left out: what needs it can say so better.
	Programs []string
	// Collect names files to bring back: path in the guest to path on the host.
	Collect map[string]string

	// Stdout and Stderr receive the program's output as it comes. Nil discards.
	Stdout, Stderr io.Writer
	// Console receives the kernel's console. Nil keeps only its tail, for errors.
	Console io.Writer

	// CacheDir keeps the kernel. Empty means HALO_GUEST_CACHE, or the module's
	// .cache/guest.
	CacheDir string
	// Init is a statically linked executable that calls [Init] when it is
	// process 1. Empty means that halo-guest is built into the cache.
	Init string
	// Memory is in MiB; zero means 1024.
	Memory int
	// KVM asks for hardware virtualisation. The zero value emulates, which works
	// everywhere: a host may have a /dev/kvm that crashes every guest.
	KVM bool

	// BootLimit bounds the time to the program's start; zero means three minutes,
	// far more than a loaded machine needs.
	BootLimit time.Duration
	// HeartbeatLimit bounds the guest's silence; zero means two minutes.
	HeartbeatLimit time.Duration
	// Limit bounds the whole run; zero means twenty minutes.
	Limit time.Duration
}

// What a zero field of Config stands for.
const (
	defaultMemory         = 1024
	defaultBootLimit      = 3 * time.Minute
	defaultHeartbeatLimit = 2 * time.Minute
	defaultLimit          = 20 * time.Minute
)

// ErrGuest is wrapped by every error that means the guest itself went wrong
// (did not boot, panicked, hung, ran out of time), as against a program that
// ran and ended, whatever its exit code.
var ErrGuest = errors.New("test kernel")

// Missing says why no guest can be run here, or nil: the host's architecture,
// the programs needed, and, until the kernel is in the default cache, those
// that fetch it. It does not try to fetch.
func Missing() error {
	if err := rightArchitecture(); err != nil {
		return err
	}
	for _, needed := range []struct{ program, from string }{
		{"qemu-system-x86_64", "qemu-system-x86"},
		{"busybox", "busybox-static"},
	} {
		if _, err := lookPath(needed.program); err != nil {
			return fmt.Errorf("%s is not installed (apt-get install %s)", needed.program, needed.from)
		}
	}
	directory, err := defaultCacheDir()
	if err != nil {
		return err
	}
	if _, err := findKernel(filepath.Join(directory, "kernel")); err == nil {
		return nil
	}
	for _, program := range []string{"apt-get", "apt-cache", "dpkg"} {
		if _, err := lookPath(program); err != nil {
			return fmt.Errorf("no kernel in %s, and without %s it cannot be fetched", directory, program)
		}
	}
	return nil
}

// Run boots a guest, runs the program in it and returns the program's exit
// code (128 plus the signal's number if a signal ended it). The error is not nil
// only if the guest could not be made or went wrong; it then ends with the last
// lines of the kernel's console.
func Run(ctx context.Context, config Config) (int, error) {
	if len(config.Args) == 0 {
		return 0, errors.New("run guest: no program given")
	}
	if err := Missing(); err != nil {
		return 0, fmt.Errorf("run guest: %w", err)
	}
	config, err := config.withDefaults(ctx)
	if err != nil {
		return 0, fmt.Errorf("run guest: %w", err)
	}
	kernel, err := openKernel(ctx, config.CacheDir)
	if err != nil {
		return 0, fmt.Errorf("run guest: %w", err)
	}
	scratch, err := os.MkdirTemp("", "halo-guest-")
	if err != nil {
		return 0, fmt.Errorf("run guest: %w", err)
	}
	defer os.RemoveAll(scratch)

	initrd := filepath.Join(scratch, "initrd")
	if err := writeImage(ctx, initrd, kernel, config); err != nil {
		return 0, fmt.Errorf("run guest: make image: %w", err)
	}
	return boot(ctx, kernel.image, initrd, config)
}

// withDefaults fills the zero fields.
func (config Config) withDefaults(ctx context.Context) (Config, error) {
	if config.Memory == 0 {
		config.Memory = defaultMemory
	}
	if config.BootLimit == 0 {
		config.BootLimit = defaultBootLimit
	}
	if config.HeartbeatLimit == 0 {
		config.HeartbeatLimit = defaultHeartbeatLimit
	}
	if config.Limit == 0 {
		config.Limit = defaultLimit
	}
	if config.Stdout == nil {
		config.Stdout = io.Discard
	}
	if config.Stderr == nil {
		config.Stderr = io.Discard
	}
	if config.Console == nil {
		config.Console = io.Discard
	}
	if config.Dir == "" {
		config.Dir = "/"
	}
	if config.CacheDir == "" {
		directory, err := defaultCacheDir()
		if err != nil {
			return config, err
		}
		config.CacheDir = directory
	}
	if err := os.MkdirAll(config.CacheDir, 0o755); err != nil {
		return config, err
	}
	if config.Init == "" {
		path, err := buildInit(ctx, config.CacheDir)
		if err != nil {
			return config, err
		}
		config.Init = path
	}
	return config, nil
}

// modulePath is halo's own module: contrib holds modules of their own, whose
// tests share the cache of the module around them.
const modulePath = "github.com/halo-ha/halo"

// defaultCacheDir is HALO_GUEST_CACHE, or .cache/guest of the checkout around
// the working directory, or the user's cache directory outside one.
func defaultCacheDir() (string, error) {
	if directory := os.Getenv("HALO_GUEST_CACHE"); directory != "" {
		return directory, nil
	}
	directory, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		content, err := os.ReadFile(filepath.Join(directory, "go.mod"))
		if err == nil && strings.HasPrefix(string(content), "module "+modulePath+"\n") {
			return filepath.Join(directory, ".cache", "guest"), nil
		}
		parent := filepath.Dir(directory)
		if parent == directory {
			break
		}
		directory = parent
	}
	directory, err = os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find cache directory: %w", err)
	}
	return filepath.Join(directory, "halo", "guest"), nil
}

// buildInit compiles halo-guest into the cache, for callers that are not
// themselves static executables (a test with the race detector, say).
func buildInit(ctx context.Context, cacheDir string) (string, error) {
	path := filepath.Join(cacheDir, "init")
	build := exec.CommandContext(ctx, "go", "build", "-o", path,
		modulePath+"/core/kernel/kerneltest/guest/halo-guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build process 1 of the guest: %w\n%s", err, output)
	}
	return path, nil
}
