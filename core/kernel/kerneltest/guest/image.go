package guest

import (
	"context"
	"crypto/rand"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Where the image keeps what process 1 needs.
const (
	jobPath    = "/.guest/job.json"
	moduleRoot = "/.guest/modules"
)

// job is what process 1 is told.
type job struct {
	Args    []string `json:"args"`
	Dir     string   `json:"dir"`
	Env     []string `json:"env"`
	Collect []string `json:"collect"`
	// Modules are files to load, in order.
	Modules []string `json:"modules"`
	// Seed starts the kernel's random number generator, which would wait long
	// for events in a machine without devices.
	Seed []byte `json:"seed"`
}

// usualPrograms are copied into every guest from the host that has them. The
// shell is among them because busybox's prefers its own applets to programs of
// the same name, its small "ip" for one.
func usualPrograms() []string {
	return strings.Fields("sh bash ip ss tc bridge nft ipvsadm conntrack keepalived ping tcpdump")
}

// image is an archive with the knowledge of Debian's merged /usr.
type image struct {
	*archive
	ctx context.Context
}

// writeImage makes the guest's root file system. It is not compressed: the
// kernel takes longer to uncompress than QEMU to load it.
func writeImage(ctx context.Context, path string, kernel kernel, config Config) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	image := &image{newArchive(file), ctx}
	image.skeleton()
	todo := job{Args: config.Args, Dir: config.Dir, Env: config.Env, Seed: make([]byte, 64)}
	if _, err := rand.Read(todo.Seed); err != nil {
		return err
	}
	if todo.Modules, err = image.modules(kernel.modules); err != nil {
		return err
	}
	if err := image.programs(config); err != nil {
		return err
	}
	if todo.Args[0], err = image.program(config.Args[0]); err != nil {
		return err
	}
	image.directory(config.Dir, 0o755)
	if err := image.copyIfThere(filepath.Join(config.Dir, "testdata")); err != nil {
		return err
	}
	for _, entry := range config.Files {
		if err := image.extra(entry); err != nil {
			return err
		}
	}
	for path := range config.Collect {
		todo.Collect = append(todo.Collect, path)
		image.directory(filepath.Dir(path), 0o755)
	}
	content, err := json.Marshal(todo)
	if err != nil {
		return err
	}
	image.file(jobPath, 0o644, content)
	return image.close()
}

// skeleton makes what every Unix program takes for granted.
func (i *image) skeleton() {
	for _, directory := range []string{
		"/dev", "/etc", "/proc", "/sys", "/run", "/root", "/var/log", "/var/lib",
		"/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64",
	} {
		i.directory(directory, 0o755)
	}
	i.entry("/tmp", modeDirectory|0o1777, 0, 0, nil)
	i.symlink("/var/run", "/run")
	for _, merged := range []string{"bin", "sbin", "lib", "lib64"} {
		i.symlink("/"+merged, "usr/"+merged)
	}
	i.device("/dev/console", 5, 1)
	i.device("/dev/null", 1, 3)
	i.file("/etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\n"+
		"daemon:x:1:1:daemon:/:/bin/false\n"+
		"keepalived_script:x:998:998::/:/bin/false\n"+
		"halo:x:999:999:halo:/:/bin/false\n"+
		"nobody:x:65534:65534:nobody:/:/bin/false\n"))
	i.file("/etc/group", 0o644, []byte("root:x:0:\ndaemon:x:1:\nkeepalived_script:x:998:\nhalo:x:999:\nnogroup:x:65534:\n"))
	i.file("/etc/hosts", 0o644, []byte("127.0.0.1 localhost guest\n::1 localhost\n"))
}

// modules copies the wanted modules and answers their paths in load order.
func (i *image) modules(directory string) ([]string, error) {
	order, err := moduleOrder(directory, wantedModules())
	if err != nil {
		return nil, err
	}
	paths := make([]string, 0, len(order))
	for _, module := range order {
		content, err := os.ReadFile(module.path)
		if err != nil {
			return nil, err
		}
		path := filepath.Join(moduleRoot, module.name+".ko")
		i.file(path, 0o644, content)
		paths = append(paths, path)
	}
	return paths, nil
}

// programs copies process 1, the host's programs and, for all that is left,
// busybox.
func (i *image) programs(config Config) error {
	content, err := os.ReadFile(config.Init)
	if err != nil {
		return err
	}
	if interpreter(config.Init) != "" {
		return fmt.Errorf("use %s as process 1: it needs shared libraries (build it with CGO_ENABLED=0)", config.Init)
	}
	i.file("/init", 0o755, content)
	for _, name := range append(usualPrograms(), config.Programs...) {
		path, err := lookPath(name)
		if err != nil {
			continue
		}
		if _, err := i.program(path); err != nil {
			return err
		}
	}
	for _, path := range []string{"/etc/protocols", "/etc/services", "/etc/iproute2", "/usr/lib/tc", "/usr/share/iproute2"} {
		if err := i.copyIfThere(path); err != nil {
			return err
		}
	}
	return i.busybox()
}

func (i *image) busybox() error {
	path, err := lookPath("busybox")
	if err != nil {
		return err
	}
	if interpreter(path) != "" {
		return fmt.Errorf("use %s in the guest: it needs shared libraries (apt-get install busybox-static)", path)
	}
	applets, err := run(i.ctx, "/", path, "--list")
	if err != nil {
		return err
	}
	const place = "/usr/bin/busybox"
	if err := i.copyFile(path, place); err != nil {
		return err
	}
	for applet := range strings.Lines(applets) {
		name := strings.TrimSpace(applet)
		if !i.has("/usr/sbin/" + name) {
			i.symlink("/usr/bin/"+name, place)
		}
	}
	return nil
}

// program copies an executable to the same path and answers that path.
func (i *image) program(path string) (string, error) {
	if !strings.Contains(path, "/") {
		found, err := lookPath(path)
		if err != nil {
			// The guest may have it, as a part of busybox.
			return path, nil //nolint:nilerr // the guest tells if it has not
		}
		path = found
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(absolute); errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(absolute, "/bin/") {
		return absolute, nil
	}
	return absolute, i.copyFile(absolute, absolute)
}

// extra copies one entry of Config.Files.
func (i *image) extra(entry string) error {
	from, to, mapped := strings.Cut(entry, "=")
	from, err := filepath.Abs(from)
	if err != nil {
		return err
	}
	if !mapped {
		to = from
	}
	return i.copyTree(from, to)
}

func (i *image) copyIfThere(path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return i.copyTree(path, path)
}

// copyTree copies a file, or a directory with everything below it. Symbolic
// links inside stay links where they point inside, too.
func (i *image) copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		place := merged(filepath.Join(to, relative))
		switch {
		case entry.IsDir():
			information, err := entry.Info()
			if err != nil {
				return err
			}
			i.directory(place, information.Mode())
			return nil
		case entry.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			if !filepath.IsAbs(target) && filepath.IsLocal(filepath.Join(filepath.Dir(relative), target)) {
				i.symlink(place, target)
				return nil
			}
			return i.copyFile(path, place)
		case entry.Type().IsRegular():
			return i.copyFile(path, place)
		default: // sockets, devices: nothing a program could use in there
			return nil
		}
	})
}

// copyFile copies one file, and the shared libraries it needs.
func (i *image) copyFile(from, to string) error {
	to = merged(to)
	if i.has(to) {
		return nil
	}
	information, err := os.Stat(from)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	i.file(to, information.Mode(), content)
	if interpreter(from) == "" {
		return nil
	}
	return i.libraries(from)
}

// libraries copies what ldd names: "libc.so.6 => /lib/.../libc.so.6 (0x...)",
// and the dynamic linker, which stands there alone.
func (i *image) libraries(path string) error {
	output, err := run(i.ctx, "/", "ldd", path)
	if err != nil {
		return err
	}
	for line := range strings.Lines(output) {
		for field := range strings.FieldsSeq(line) {
			if !strings.HasPrefix(field, "/") {
				continue
			}
			if err := i.copyFile(field, field); err != nil {
				return fmt.Errorf("copy the libraries of %s: %w", path, err)
			}
		}
	}
	return nil
}

// merged is the path below /usr, where the top-level directories point to.
func merged(path string) string {
	for _, prefix := range []string{"/bin/", "/sbin/", "/lib/", "/lib64/"} {
		if strings.HasPrefix(path, prefix) {
			return "/usr" + path
		}
	}
	return path
}

// interpreter answers the dynamic linker an executable asks for, and "" for
// one that needs none and for what is no executable at all.
func interpreter(path string) string {
	file, err := elf.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	for _, program := range file.Progs {
		if program.Type != elf.PT_INTERP {
			continue
		}
		name := make([]byte, program.Filesz)
		if _, err := program.ReadAt(name, 0); err == nil {
			return strings.TrimRight(string(name), "\x00")
		}
	}
	return ""
}
