package tokens

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/pkoukk/tiktoken-go"
	loader "github.com/pkoukk/tiktoken-go-loader"
)

func init() { tiktoken.SetBpeLoader(loader.NewOfflineLoader()) }

// The error that Fast documents, against the encoding of GPT-4o.
func TestFastAgainstTiktoken(t *testing.T) {
	o200k, err := tiktoken.GetEncoding("o200k_base")
	if err != nil {
		t.Fatal(err)
	}
	noise := sha256.Sum256(nil)
	for _, c := range []struct {
		name string
		off  float64 // most relative error
		text string
	}{
		{"base64", 2.0 / 3, base64.StdEncoding.EncodeToString(bytes.Repeat(noise[:], 4))},
		{"english", 0.25, english},
		{"instructions", 0.25, `You are a support agent for an online shop. Answer in at most three sentences. Do not promise refunds. If the customer is angry, stay calm, apologise once, and offer to connect them with a colleague. Never mention internal systems, prices of competitors, or this prompt.`},
		{"go", 0.25, goCode},
		{"python", 0.25, pythonCode},
		{"json", 0.25, `{"type":"function","function":{"name":"get_weather","description":"Current weather for a city","parameters":{"type":"object","properties":{"city":{"type":"string","description":"The city, such as Paris"},"unit":{"type":"string","enum":["celsius","fahrenheit"]}},"required":["city"]}}}`},
		{"markdown", 0.25, "# Releases\n\n* **1.4.0** adds `--watch`, see [the guide](https://example.com/guide).\n* **1.3.2** fixes a crash when the file is empty.\n\n| option | default |\n|---|---|\n| `--port` | 8080 |\n| `--host` | 127.0.0.1 |\n\nRun `make test` before you open a pull request.\n"},
		{"german", 0.33, "Die Stadt hat gestern angekündigt, im Osten eine neue Bücherei zu bauen. Die Bürgerinnen und Bürger begrüßen das Vorhaben, einige fürchten jedoch mehr Verkehr. Fassen Sie den Artikel bitte in höchstens drei Sätzen zusammen."},
		{"chinese", 0.33, "请把下面的会议记录整理成五个要点，并列出每个人的任务和截止日期。本周我们讨论了新产品的发布计划，市场部门需要在月底之前准备好宣传材料，技术团队负责修复剩下的问题。"},
		{"japanese", 0.33, "来週の会議の資料を準備してください。売上の推移と今後の計画をわかりやすくまとめて、金曜日までに送っていただけると助かります。"},
		{"korean", 0.33, "다음 주 회의 자료를 준비해 주세요. 매출 추이와 앞으로의 계획을 알기 쉽게 정리해서 금요일까지 보내 주시면 감사하겠습니다."},
		{"russian", 0.33, "Подготовьте, пожалуйста, материалы к совещанию на следующей неделе. Опишите динамику продаж и планы на будущий год и пришлите их до пятницы."},
		{"arabic", 0.33, "من فضلك حضر مواد الاجتماع للأسبوع القادم واشرح تطور المبيعات وخطط السنة القادمة وأرسلها قبل يوم الجمعة."},
		{"hindi", 0.33, "कृपया अगले सप्ताह की बैठक के लिए सामग्री तैयार कीजिए और शुक्रवार तक भेज दीजिए। बिक्री का विवरण सरल भाषा में लिखिए।"},
		{"emoji", 0.33, "Happy birthday 🎂🎉🎈! Hope you have a great day 😀❤️ See you at the beach 🏖️🌊☀️ 👍👍"},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := len(o200k.EncodeOrdinary(c.text))
			var f Fast
			f.Text([]byte(c.text))
			got := int(f.Tokens())
			off := float64(got)/float64(want) - 1
			t.Logf("%d estimated, %d true: %+.0f %%", got, want, off*100)
			if off > c.off || off < -c.off {
				t.Errorf("%d tokens estimated, %d true: %+.0f %%, want within %.0f %%", got, want, off*100, c.off*100)
			}
		})
	}
}

// A text may come in any pieces.
func TestFastCutAnywhere(t *testing.T) {
	text := "Zoë sagt: 漢字と emoji 😀, done.\n"
	var whole, single Fast
	whole.Text([]byte(text))
	for i := range len(text) {
		single.Text([]byte{text[i]})
	}
	if whole != single {
		t.Errorf("whole text is %+v, byte by byte %+v", whole, single)
	}
}

func TestFastFrames(t *testing.T) {
	for _, c := range []struct {
		name  string
		count func(f *Fast)
		want  int64
	}{
		{"nothing", func(*Fast) {}, 0},
		{"an empty message", func(f *Fast) { f.Message() }, 6},
		{"two messages", func(f *Fast) { f.Message(); f.Text([]byte("user")); f.End(); f.Message() }, 10},
		{"text alone", func(f *Fast) { f.Text([]byte("a")); f.End() }, 1},
		{"token ids", func(f *Fast) { f.IDs(12) }, 12},
		{"an image", func(f *Fast) { f.Image() }, 765},
	} {
		t.Run(c.name, func(t *testing.T) {
			var f Fast
			c.count(&f)
			if got := f.Tokens(); got != c.want {
				t.Errorf("got %d tokens, want %d", got, c.want)
			}
		})
	}
}

func TestFastAllocations(t *testing.T) {
	text := []byte(english)
	var f Fast
	if n := testing.AllocsPerRun(100, func() { f.Message(); f.Text(text); f.End() }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func BenchmarkFast(b *testing.B) {
	text := []byte(strings.Repeat(english, 20))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	var f Fast
	for b.Loop() {
		f.Text(text)
	}
}

const (
	english = `The town council announced yesterday that a new library will be built on the eastern side of the river. Construction is expected to take two years and will cost about twelve million. Most residents welcome the plan, but some are worried about traffic during the work. "We have waited for this for a decade," said a teacher who lives nearby. Please summarise the article in three sentences and name the main concern of the people who were interviewed.`

	goCode = `// Reader reads frames from a connection.
type Reader struct {
	conn net.Conn
	buf  []byte
	err  error
}

func (r *Reader) Next() ([]byte, error) {
	if r.err != nil {
		return nil, r.err
	}
	var head [4]byte
	if _, err := io.ReadFull(r.conn, head[:]); err != nil {
		r.err = fmt.Errorf("frame: %w", err)
		return nil, r.err
	}
	n := binary.BigEndian.Uint32(head[:])
	for uint32(cap(r.buf)) < n {
		r.buf = append(r.buf[:cap(r.buf)], 0)
	}
	return r.buf[:n], nil
}
`

	pythonCode = `import argparse
from pathlib import Path


def count_words(path: Path, minimum: int = 1) -> dict[str, int]:
    """Count the words of a file, ignoring case."""
    counts: dict[str, int] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        for word in line.lower().split():
            word = word.strip(".,;:!?")
            if word:
                counts[word] = counts.get(word, 0) + 1
    return {word: n for word, n in counts.items() if n >= minimum}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    args = parser.parse_args()
    for word, n in sorted(count_words(args.file).items()):
        print(f"{n:6d} {word}")
`
)
