package script_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/halo-ha/halo/sdk/script"
)

const shell = "#!/bin/sh\nexit 0\n"

// tree makes dir/sub/check with the given text and returns the three paths.
func tree(t *testing.T, text string) (dir, sub, file string) {
	t.Helper()
	dir = t.TempDir()
	sub = filepath.Join(dir, "sub")
	file = filepath.Join(sub, "check")
	if err := os.Mkdir(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir, sub, file
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func requireRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("needs root to give files away")
	}
	t.Skip("needs root to give files away")
}

// wantComplaint checks the element and the words of a PathError, and that Run
// refuses for the same reason.
func wantComplaint(t *testing.T, path, element string, words ...string) {
	t.Helper()
	err := script.Verify(path)
	pathErr, ok := errors.AsType[*script.PathError](err)
	if !ok {
		t.Fatalf("Verify(%s): %v, want a PathError", path, err)
	}
	if pathErr.Element != element {
		t.Errorf("element %s, want %s", pathErr.Element, element)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("message %q lacks %q", err, word)
		}
	}
	_, runErr := runner(t).Script().Run(t.Context(), script.Command{Args: []string{path}})
	if _, ok := errors.AsType[*script.PathError](runErr); !ok {
		t.Errorf("Run: %v, want the same complaint", runErr)
	}
}

func TestVerifyAccepts(t *testing.T) {
	binary, err := exec.LookPath("true")
	if err != nil {
		t.Fatal(err)
	}
	_, sub, file := tree(t, shell)
	link := filepath.Join(sub, "link")
	if err := os.Symlink("../sub/./check", link); err != nil {
		t.Fatal(err)
	}
	_, _, env := tree(t, "#!/usr/bin/env sh\n")
	_, _, flags := tree(t, "#! /usr/bin/env -S sh -e\n")
	_, _, nested := tree(t, "#!"+file+"\n")
	for _, path := range []string{binary, file, link, filepath.Join(sub, "..", "sub", "check"), env, flags, nested} {
		if err := script.Verify(path); err != nil {
			t.Errorf("Verify(%s): %v", path, err)
		}
	}
}

func TestVerifyWritable(t *testing.T) {
	requireRoot(t) // For the group; root's own group is as good as root.
	tests := map[string]struct {
		mode  os.FileMode
		words []string
	}{
		"others": {0o757, []string{"is writable by others", "mode 0757", "chmod o-w"}},
		"group":  {0o775, []string{"is writable by its group", "mode 0775", "owner root:nogroup", "chmod g-w"}},
		"both":   {0o777, []string{"is writable by its group and by others", "mode 0777", "chmod go-w"}},
	}
	for name, test := range tests {
		for _, which := range []string{"directory", "parent", "file"} {
			t.Run(name+" "+which, func(t *testing.T) {
				dir, sub, file := tree(t, shell)
				element := map[string]string{"directory": sub, "parent": dir, "file": file}[which]
				if err := os.Chown(element, 0, 65534); err != nil {
					t.Fatal(err)
				}
				chmod(t, element, test.mode)
				wantComplaint(t, file, element, test.words...)
			})
		}
	}
	t.Run("root's group", func(t *testing.T) {
		_, sub, file := tree(t, shell)
		chmod(t, sub, 0o775)
		if err := script.Verify(file); err != nil {
			t.Errorf("writable by root's group: %v", err)
		}
	})
	t.Run("behind a link", func(t *testing.T) {
		_, sub, file := tree(t, shell)
		chmod(t, sub, 0o757)
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(file, link); err != nil {
			t.Fatal(err)
		}
		wantComplaint(t, link, sub, link+": ", "is writable by others")
	})
	t.Run("sticky", func(t *testing.T) {
		_, sub, file := tree(t, shell)
		chmod(t, sub, 0o777|os.ModeSticky)
		if err := script.Verify(file); err != nil {
			t.Errorf("in a directory like /tmp: %v", err)
		}
		if err := os.Chown(file, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		wantComplaint(t, file, file, "belongs to another user", "owner nobody:nogroup", "chown root")
	})
	t.Run("interpreter", func(t *testing.T) {
		_, _, interpreter := tree(t, shell)
		chmod(t, interpreter, 0o757)
		_, _, file := tree(t, "#!"+interpreter+"\n")
		wantComplaint(t, file, file, "names an interpreter that cannot be used", interpreter, "is writable by others")
	})
}

// TestVerifyAsAnotherUser is the usual case: the plugin is nobody in particular.
func TestVerifyAsAnotherUser(t *testing.T) {
	requireRoot(t)
	const own, stranger = 65534, 65533
	tests := map[string]struct {
		fileOwner, subOwner int
		subMode, fileMode   os.FileMode
		bad                 string // "" is accepted
		words               []string
	}{
		"root's":                    {0, 0, 0o755, 0o755, "", nil},
		"our own":                   {own, own, 0o755, 0o755, "", nil},
		"a colleague's":             {stranger, stranger, 0o755, 0o755, "", nil},
		"root's in a strange place": {0, stranger, 0o755, 0o755, "sub", []string{"belongs to another user", "chown root"}},
		"closed directory":          {0, 0, 0o700, 0o755, "sub", []string{"cannot be entered by user nobody", "mode 0700", "chmod a+x"}},
		"executable for root alone": {0, 0, 0o755, 0o744, "file", []string{"cannot be executed by user nobody", "mode 0744", "chmod a+x"}},
		"not readable":              {0, 0, 0o755, 0o711, "", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir, sub, file := tree(t, shell)
			chmod(t, filepath.Dir(dir), 0o755) // The testing package keeps its directories closed.
			chmod(t, dir, 0o755)
			if err := errors.Join(os.Chown(sub, test.subOwner, 0), os.Chown(file, test.fileOwner, 0)); err != nil {
				t.Fatal(err)
			}
			chmod(t, file, test.fileMode)
			chmod(t, sub, test.subMode)
			if err := syscall.Setreuid(-1, own); err != nil { // Of all threads.
				t.Fatal(err)
			}
			err := script.Verify(file)
			if err := syscall.Setreuid(-1, 0); err != nil {
				t.Fatal(err)
			}
			if test.bad == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			pathErr, ok := errors.AsType[*script.PathError](err)
			if !ok || pathErr.Element != map[string]string{"sub": sub, "file": file}[test.bad] {
				t.Fatalf("%v, want a complaint about the %s", err, test.bad)
			}
			for _, word := range test.words {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("message %q lacks %q", err, word)
				}
			}
		})
	}
}

func TestVerifyFile(t *testing.T) {
	dir, sub, file := tree(t, shell)
	t.Run("relative", func(t *testing.T) {
		wantComplaint(t, "sh", "sh", "is not an absolute path", "write /")
		wantComplaint(t, "./check", "./check", "is not an absolute path", "from the root")
	})
	t.Run("missing", func(t *testing.T) {
		wantComplaint(t, filepath.Join(sub, "chekc"), filepath.Join(sub, "chekc"), "does not exist")
		wantComplaint(t, filepath.Join(dir, "no", "such"), filepath.Join(dir, "no"), "does not exist")
	})
	t.Run("directory", func(t *testing.T) { wantComplaint(t, sub, sub, "is not a regular file") })
	t.Run("below a file", func(t *testing.T) {
		wantComplaint(t, filepath.Join(file, "x"), file, "is not a directory")
	})
	t.Run("loop", func(t *testing.T) {
		loop := filepath.Join(sub, "loop")
		if err := os.Symlink("loop", loop); err != nil {
			t.Fatal(err)
		}
		wantComplaint(t, loop, loop, "too many symbolic links")
	})
	t.Run("dangling", func(t *testing.T) {
		link := filepath.Join(sub, "dangling")
		if err := os.Symlink("/nonexistent/check", link); err != nil {
			t.Fatal(err)
		}
		wantComplaint(t, link, "/nonexistent", link+": ", "does not exist")
	})
	t.Run("not executable", func(t *testing.T) {
		_, _, file := tree(t, shell)
		chmod(t, file, 0o644)
		wantComplaint(t, file, file, "is not executable", "mode 0644", "chmod a+x "+file)
	})
}

func TestVerifyFirstLine(t *testing.T) {
	tests := map[string]struct {
		text  string
		words []string
	}{
		"no first line":     {"echo hello\nexit 0\n", []string{"has no #! line", "make its first line #!/bin/sh"}},
		"text beyond ascii": {"# " + strings.Repeat("größe ", 60), []string{"has no #! line"}},
		"empty":             {"", []string{"is empty"}},
		"nothing after it":  {"#!\nexit 0\n", []string{"names no interpreter"}},
		"dos":               {"#!/bin/sh\r\nexit 0\r\n", []string{"as on DOS", `sed -i 's/\r$//'`}},
		"missing":           {"#!/nonexistent/python\n", []string{"names an interpreter", "/nonexistent does not exist"}},
		"relative":          {"#!sh\n", []string{"names an interpreter", "is not an absolute path"}},
		"env cannot find":   {"#!/usr/bin/env no-such-language\n", []string{"asks env for no-such-language", "nowhere in PATH"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, file := tree(t, test.text)
			wantComplaint(t, file, file, test.words...)
		})
	}
	t.Run("too deep", func(t *testing.T) {
		_, _, file := tree(t, shell)
		for range 6 {
			_, _, file = tree(t, "#!"+file+"\n")
		}
		wantComplaint(t, file, file, "behind too many interpreters")
	})
	t.Run("binary data", func(t *testing.T) {
		_, _, file := tree(t, "\xfe\xed\x00\x01 for another machine")
		if err := script.Verify(file); err != nil {
			t.Errorf("%v; execution is to say so", err)
		}
	})
}

// FuzzFirstLine: whatever a file holds, the verdict is yes or a PathError.
func FuzzFirstLine(f *testing.F) {
	for _, seed := range []string{shell, "#!", "#! \t\r\n", "#!/usr/bin/env", "#!/usr/bin/env -S x", "\x7fELF", "#!//bin/../bin/sh -e x", "#!\x00"} {
		f.Add([]byte(seed))
	}
	file := filepath.Join(f.TempDir(), "check")
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(file, content, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := script.Verify(file); err != nil {
			if _, ok := errors.AsType[*script.PathError](err); !ok {
				t.Errorf("%q: %T %v", content, err, err)
			}
		}
	})
}

// TestVerifyProperty builds paths of directories and links and compares the
// verdict with what the modes along the way say.
func TestVerifyProperty(t *testing.T) {
	root := t.TempDir()
	count := 0
	rapid.Check(t, func(t *rapid.T) {
		count++
		at := filepath.Join(root, strconv.Itoa(count))
		if err := os.Mkdir(at, 0o755); err != nil {
			t.Fatal(err)
		}
		good, path := true, at
		for i := range rapid.IntRange(1, 4).Draw(t, "depth") {
			mode := rapid.SampledFrom([]os.FileMode{0o755, 0o755, 0o555, 0o757, 0o777 | os.ModeSticky}).Draw(t, "mode")
			good = good && (mode&0o002 == 0 || mode&os.ModeSticky != 0)
			at = filepath.Join(at, "d"+strconv.Itoa(i))
			if err := errors.Join(os.Mkdir(at, 0o755), os.Chmod(at, mode)); err != nil {
				t.Fatal(err)
			}
			switch rapid.IntRange(0, 3).Draw(t, "link") {
			case 0: // By a link beside the directory, to a relative name.
				link := filepath.Join(filepath.Dir(at), "link")
				if err := os.Symlink(filepath.Base(at), link); err != nil {
					t.Fatal(err)
				}
				path = filepath.Join(path, "link")
			case 1: // By a link from elsewhere, to the full name.
				link := filepath.Join(root, "link"+strconv.Itoa(count)+"-"+strconv.Itoa(i))
				if err := os.Symlink(at, link); err != nil {
					t.Fatal(err)
				}
				path = link
			case 2: // Back and forth.
				path = filepath.Join(path, filepath.Base(at)) + "/./../" + filepath.Base(at)
			default:
				path = filepath.Join(path, filepath.Base(at))
			}
		}
		if err := os.WriteFile(filepath.Join(at, "check"), []byte(shell), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := script.Verify(path + "/check"); (err == nil) != good {
			t.Fatalf("Verify(%s): %v, want accepted %v", path, err, good)
		}
	})
}

func TestNoexec(t *testing.T) {
	requireRoot(t)
	dir := t.TempDir()
	if err := unix.Mount("halo-test", dir, "tmpfs", unix.MS_NOEXEC, "size=64k,mode=755"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	file := filepath.Join(dir, "check")
	if err := os.WriteFile(file, []byte(shell), 0o755); err != nil {
		t.Fatal(err)
	}
	wantComplaint(t, file, file, "mounted noexec")
}
