package gateway

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTemporaryFolder(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	f, err := openFolder("")
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(f.path)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := f.close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(f.path); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}
}

func TestNamedFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	for _, name := range []string{"sds/gone/old.json", "cds/cds.json", "notes.txt"} {
		file := filepath.Join(path, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	exists := func(name string) bool {
		_, err := os.Stat(filepath.Join(path, name))
		return err == nil
	}
	f, err := openFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	if exists("sds") || exists("cds") || !exists("notes.txt") {
		t.Error("want what an older run rendered removed, and nothing else")
	}

	_, err = openFolder(path)
	if want := "run directory: another tollgate runs in " + path; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}

	for _, name := range []string{"sds", "cds"} {
		if err := os.Mkdir(filepath.Join(path, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.close(); err != nil {
		t.Error(err)
	}
	if exists("sds") || !exists("cds") {
		t.Error("want the secrets removed at the end, and nothing else")
	}
	again, err := openFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.close(); err != nil {
		t.Error(err)
	}
}

func TestFolderErrors(t *testing.T) {
	dir := t.TempDir()
	open := dir + "/open"
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	long := dir + strings.Repeat("/long", 20)
	for _, test := range []struct{ name, path, want string }{
		{name: "others may write", path: open, want: "run directory: others may write to " + open + " (mode 0777); secrets are put there, so only its owner may"},
		{name: "a file", path: dir + "/file", want: "run directory: mkdir " + dir + "/file: not a directory"},
		{name: "too long", path: long, want: "run directory: " + long + "/admin.sock is "},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := openFolder(test.path)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
}
