package envoy

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"
)

// Names of files below Options.Dir, with slashes.
const (
	// BootstrapFile is what Envoy is started with.
	BootstrapFile = "bootstrap.json"
	// AdminSocket is where a running Envoy answers its administrator.
	AdminSocket = "admin.sock"

	listenersFile = "lds/lds.json"
	routesFile    = "rds/rds.json"
	clustersFile  = "cds/cds.json"
	gatewayFile   = "ecds/gateway.json"
	secretsFolder = "sds"
)

const redacted = "[redacted]"

// File is one file that Envoy reads.
type File struct {
	// Name is relative to Options.Dir, with slashes.
	Name string
	// Content is JSON; nil in a Step means that the file goes away.
	Content []byte
	// Version is the version_info in it, a hash of the rest; empty for the
	// bootstrap.
	Version string
}

// Files are all files, in the order in which a first start may write them.
func (r *Resources) Files() []File { return slices.Clone(r.files) }

// encode makes the files.
func (r *Resources) encode() ([]File, error) {
	bootstrap, err := encode(r.Bootstrap)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", BootstrapFile, err)
	}
	files := []File{{Name: BootstrapFile, Content: append(bootstrap, '\n')}}
	var errs []error
	add := func(name string, resources []proto.Message) {
		f, err := discovery(name, resources)
		files, errs = append(files, f), append(errs, err)
	}
	for _, s := range r.Secrets {
		add(s.File, []proto.Message{s.Secret})
	}
	add(clustersFile, messages(r.Clusters))
	add(routesFile, messages(r.Routes))
	add(gatewayFile, messages(r.Extensions))
	add(listenersFile, messages(r.Listeners))
	return files, errors.Join(errs...)
}

func messages[M proto.Message](in []M) []proto.Message {
	out := make([]proto.Message, len(in))
	for i, m := range in {
		out[i] = m
	}
	return out
}

// discovery makes the file of a DiscoveryResponse.
func discovery(name string, resources []proto.Message) (File, error) {
	var response struct {
		VersionInfo string            `json:"version_info"`
		Resources   []json.RawMessage `json:"resources"`
	}
	response.Resources = make([]json.RawMessage, len(resources))
	hash := sha256.New()
	for i, m := range resources {
		src, err := encode(pack(m))
		if err != nil {
			return File{}, fmt.Errorf("%s: %w", name, err)
		}
		response.Resources[i] = src
		hash.Write(src)
	}
	response.VersionInfo = fmt.Sprintf("%x", hash.Sum(nil)[:8])
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(response); err != nil {
		return File{}, fmt.Errorf("%s: %w", name, err)
	}
	return File{Name: name, Content: out.Bytes(), Version: response.VersionInfo}, nil
}

// encode is a message as JSON without white space, which protojson varies from
// build to build on purpose.
func encode(m proto.Message) ([]byte, error) {
	src, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.Grow(len(src))
	err = json.Compact(&out, src)
	return out.Bytes(), err
}

// Write brings a folder to hold these files: what has changed is replaced by a
// rename into its place, so that Envoy never reads half a file, what has not is
// left alone, and secrets of backends that are gone are removed. Secrets are
// readable by their owner only. A running Envoy wants the order of Plan instead.
func (r *Resources) Write(dir string) error {
	keep := make(map[string]bool)
	for _, f := range r.files {
		if err := f.Write(dir); err != nil {
			return err
		}
		keep[f.Name] = true
	}
	old, err := fs.Glob(os.DirFS(dir), secretsFolder+"/*/*.json")
	if err != nil {
		return err
	}
	for _, name := range old {
		if !keep[name] {
			if err := (File{Name: name}).Write(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// Write puts the file below dir, or removes it if it has no content.
func (f File) Write(dir string) error {
	name := filepath.Join(dir, filepath.FromSlash(f.Name))
	if f.Content == nil {
		return f.remove(name)
	}
	if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, f.Content) {
		return nil
	}
	// The folder of a secret is closed, and the temporary file is made in dir:
	// inside the folder it would be an event of its own.
	folder, mode := fs.FileMode(0o755), fs.FileMode(0o644)
	if f.secret() {
		folder, mode = 0o700, 0o600
	}
	if err := os.MkdirAll(filepath.Dir(name), folder); err != nil {
		return err
	}
	temp, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	_, err = temp.Write(f.Content)
	err = errors.Join(err, temp.Chmod(mode), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return nil
}

// remove takes a file away, and its folder when that was the last.
func (f File) remove(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// A folder that is not empty stays.
	_ = os.Remove(filepath.Dir(name))
	return nil
}

// secret says whether the file holds the credential of a backend.
func (f File) secret() bool { return f.backend() != "" }

// backend is whose credential the file holds.
func (f File) backend() string {
	folder := path.Dir(f.Name)
	if path.Dir(folder) != secretsFolder {
		return ""
	}
	return path.Base(folder)
}

// YAML is what a person reads: every file as a YAML document under its name,
// without the secrets.
func (r *Resources) YAML() ([]byte, error) {
	var out bytes.Buffer
	for i, f := range r.files {
		if i > 0 {
			out.WriteString("---\n")
		}
		fmt.Fprintf(&out, "# %s\n", f.Name)
		if f.secret() {
			fmt.Fprintf(&out, "# the credential of backend %q, left out\n", f.backend())
			continue
		}
		y, err := yaml.JSONToYAML(f.Content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		out.Write(y)
	}
	return out.Bytes(), nil
}
