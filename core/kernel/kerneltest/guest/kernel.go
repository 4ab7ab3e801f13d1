package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// metaPackage is the Debian package that depends on the current kernel image.
const metaPackage = "linux-image-cloud-amd64"

// kernel is an unpacked kernel package.
type kernel struct {
	image   string // the bzImage
	modules string // the directory lib/modules/VERSION
}

func rightArchitecture() error {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return fmt.Errorf("the test kernel is for linux/amd64 hosts, this is %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	return nil
}

// openKernel finds the kernel in the cache, and fetches it first where it is
// not there. Several processes may do so at once: one fetches, the others wait.
func openKernel(ctx context.Context, cacheDir string) (kernel, error) {
	unlock, err := lock(filepath.Join(cacheDir, "lock"))
	if err != nil {
		return kernel{}, err
	}
	defer unlock()
	root := filepath.Join(cacheDir, "kernel")
	if found, err := findKernel(root); err == nil {
		return found, nil
	}
	if err := fetchKernel(ctx, root); err != nil {
		return kernel{}, fmt.Errorf("fetch kernel %s: %w", metaPackage, err)
	}
	return findKernel(root)
}

func findKernel(root string) (kernel, error) {
	images, err := filepath.Glob(filepath.Join(root, "boot", "vmlinuz-*"))
	if err != nil || len(images) != 1 {
		return kernel{}, fmt.Errorf("find kernel in %s: %d images, want 1", root, len(images))
	}
	version := strings.TrimPrefix(filepath.Base(images[0]), "vmlinuz-")
	modules := filepath.Join(root, "lib", "modules", version)
	if _, err := os.Stat(modules); err != nil {
		return kernel{}, fmt.Errorf("find kernel in %s: %w", root, err)
	}
	return kernel{image: images[0], modules: modules}, nil
}

// fetchKernel downloads and unpacks next to root and renames at the end, so
// that an interrupted fetch leaves nothing that looks whole.
func fetchKernel(ctx context.Context, root string) error {
	if err := os.RemoveAll(root); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp(filepath.Dir(root), "fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	// As root, apt hands the download to its user _apt, who must get in.
	if err := os.Chmod(scratch, 0o777); err != nil {
		return err
	}
	name, err := imagePackage(ctx)
	if err != nil {
		return err
	}
	if _, err := run(ctx, scratch, "apt-get", "-q", "download", name); err != nil {
		return err
	}
	packages, err := filepath.Glob(filepath.Join(scratch, "*.deb"))
	if err != nil || len(packages) != 1 {
		return fmt.Errorf("download %s: %d files, want 1", name, len(packages))
	}
	unpacked := filepath.Join(scratch, "unpacked")
	if _, err := run(ctx, scratch, "dpkg", "-x", packages[0], unpacked); err != nil {
		return err
	}
	return os.Rename(unpacked, root)
}

// imagePackage answers the package that holds the kernel proper. Package lists
// are brought up to date only where the name is unknown, as on a fresh machine.
func imagePackage(ctx context.Context) (string, error) {
	name, err := dependencyOf(ctx, metaPackage)
	if err == nil {
		return name, nil
	}
	if _, err := run(ctx, "/", "apt-get", "-q", "update"); err != nil {
		return "", err
	}
	return dependencyOf(ctx, metaPackage)
}

func dependencyOf(ctx context.Context, name string) (string, error) {
	output, err := run(ctx, "/", "apt-cache", "depends", "--important", name)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(output) {
		dependency, found := strings.CutPrefix(strings.TrimSpace(line), "Depends: ")
		if found && strings.HasPrefix(dependency, "linux-image-") {
			return dependency, nil
		}
	}
	return "", fmt.Errorf("find the image that %s depends on: not in the package lists", name)
}

// run answers a command's standard output; its standard error goes into the
// error.
func run(ctx context.Context, directory, name string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, name, args...)
	command.Dir = directory
	command.Env = append(os.Environ(), "LC_ALL=C")
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}

// lookPath is exec.LookPath that also looks where only root's PATH points.
func lookPath(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return filepath.Abs(path)
	}
	for _, directory := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		path := filepath.Join(directory, name)
		if information, err := os.Stat(path); err == nil && information.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("find program %s: %w", name, exec.ErrNotFound)
}

// lock takes a lock that ends with the process at the latest.
func lock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { _ = file.Close() }, nil
}
