package supervise

import (
	"bytes"
	"os/exec"
	"testing"
)

func TestSpawner(t *testing.T) {
	s := NewSpawner()
	var out bytes.Buffer
	cmd := exec.Command("sh", "-c", "echo said; exit 3")
	cmd.Stdout = &out
	p, err := s.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if p.Err() == nil || p.Err().Error() != "exit status 3" || out.String() != "said\n" {
		t.Errorf("%v, %q", p.Err(), &out)
	}
	if _, err := s.Start(exec.Command("/nowhere/envoy")); err == nil {
		t.Error("no error")
	}
}
