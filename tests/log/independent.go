// Go's own transparency log (golang.org/x/mod/sumdb/tlog and note), told what the registry's code made and asked what
// it makes of it. It reads one JSON document and writes one; main.rs compares. It has no opinion of its own.
package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type inclusion struct {
	Index int64       `json:"index"`
	Size  int64       `json:"size"`
	Leaf  tlog.Hash   `json:"leaf"`
	Root  tlog.Hash   `json:"root"`
	Path  []tlog.Hash `json:"path"`
}

type consistency struct {
	Old     int64       `json:"old"`
	New     int64       `json:"new"`
	OldRoot tlog.Hash   `json:"old_root"`
	NewRoot tlog.Hash   `json:"new_root"`
	Path    []tlog.Hash `json:"path"`
}

type claimedNote struct {
	Key  string `json:"key"`
	Note string `json:"note"`
}

type question struct {
	Entries     int64         `json:"entries"`     // the log's entries are "entry 0", "entry 1", ...
	Sizes       []int64       `json:"sizes"`       // whose roots are wanted
	Inclusion   []inclusion   `json:"inclusion"`   // claims, true and false
	Consistency []consistency `json:"consistency"` // claims, true and false
	Checkpoint  string        `json:"checkpoint"`  // the text of a checkpoint
	Notes       []claimedNote `json:"notes"`       // claims, true and false
	Secret      string        `json:"secret"`      // a private key
	Text        string        `json:"text"`        // what to sign
	Paths       []string      `json:"paths"`       // of tiles, some of them wrong
}

type tile struct {
	Path string `json:"path"`
	Data []byte `json:"data"`
}

type answer struct {
	Roots       []tlog.Hash   `json:"roots"`
	Inclusion   []bool        `json:"inclusion"`
	Consistency []bool        `json:"consistency"`
	Records     []inclusion   `json:"records"` // proofs of its own, for the pairs that were asked about
	Trees       []consistency `json:"trees"`
	Parsed      tlog.Tree     `json:"parsed"`
	Formatted   string        `json:"formatted"`
	Notes       []bool        `json:"notes"`
	Signed      string        `json:"signed"`
	NewSecret   string        `json:"new_secret"`
	NewKey      string        `json:"new_key"`
	NewNote     string        `json:"new_note"`
	Paths       []string      `json:"paths"` // as it writes them; "" where it refuses one
	Tiles       []tile        `json:"tiles"` // of the whole log
}

var stored []tlog.Hash

var reader = tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hashes[i] = stored[index]
	}
	return hashes, nil
})

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

// evidence verifies a file that `log prove` wrote.
func evidence(file, key string) {
	var it struct {
		Checkpoint string
		Entries    []struct {
			Index int64
			Entry string
			Path  []string
		}
	}
	must(0, json.Unmarshal(must(os.ReadFile(file)), &it))
	opened := must(note.Open([]byte(it.Checkpoint), note.VerifierList(must(note.NewVerifier(key)))))
	origin, rest, _ := strings.Cut(opened.Text, "\n")
	tree := must(tlog.ParseTree([]byte("go.sum database tree\n" + rest)))
	for _, entry := range it.Entries {
		var path tlog.RecordProof
		for _, hash := range entry.Path {
			var bytes []byte
			must(fmt.Sscanf(hash, "%x", &bytes))
			path = append(path, tlog.Hash(*(*[32]byte)(bytes)))
		}
		must(0, tlog.CheckRecord(path, tree.N, tree.Hash, entry.Index, tlog.RecordHash([]byte(entry.Entry))))
	}
	fmt.Printf("%s: %d of %d\n", origin, len(it.Entries), tree.N)
}

// opened verifies a signed checkpoint, and says its size and root.
func opened(file, key string) {
	it := must(note.Open(must(os.ReadFile(file)), note.VerifierList(must(note.NewVerifier(key)))))
	_, rest, _ := strings.Cut(it.Text, "\n")
	tree := must(tlog.ParseTree([]byte("go.sum database tree\n" + rest)))
	fmt.Printf("%d %s\n", tree.N, tree.Hash)
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == "evidence" {
		evidence(os.Args[2], os.Args[3])
		return
	}
	if len(os.Args) == 4 && os.Args[1] == "checkpoint" {
		opened(os.Args[2], os.Args[3])
		return
	}
	var q question
	must(0, json.NewDecoder(os.Stdin).Decode(&q))
	for i := int64(0); i < q.Entries; i++ {
		stored = append(stored, must(tlog.StoredHashes(i, []byte(fmt.Sprintf("entry %d", i)), reader))...)
	}
	var a answer
	for _, size := range q.Sizes {
		a.Roots = append(a.Roots, must(tlog.TreeHash(size, reader)))
	}
	for _, it := range q.Inclusion {
		a.Inclusion = append(a.Inclusion, tlog.CheckRecord(it.Path, it.Size, it.Root, it.Index, it.Leaf) == nil)
		if it.Index < it.Size && it.Size <= q.Entries {
			it.Path = must(tlog.ProveRecord(it.Size, it.Index, reader))
			it.Leaf = tlog.RecordHash([]byte(fmt.Sprintf("entry %d", it.Index)))
			it.Root = must(tlog.TreeHash(it.Size, reader))
			a.Records = append(a.Records, it)
		}
	}
	for _, it := range q.Consistency {
		a.Consistency = append(a.Consistency, tlog.CheckTree(it.Path, it.New, it.NewRoot, it.Old, it.OldRoot) == nil)
		if 0 < it.Old && it.Old <= it.New && it.New <= q.Entries {
			it.Path = must(tlog.ProveTree(it.New, it.Old, reader))
			it.OldRoot = must(tlog.TreeHash(it.Old, reader))
			it.NewRoot = must(tlog.TreeHash(it.New, reader))
			a.Trees = append(a.Trees, it)
		}
	}
	a.Parsed = must(tlog.ParseTree([]byte(q.Checkpoint)))
	a.Formatted = string(tlog.FormatTree(tlog.Tree{N: q.Entries, Hash: must(tlog.TreeHash(q.Entries, reader))}))
	for _, it := range q.Notes {
		_, err := note.Open([]byte(it.Note), note.VerifierList(must(note.NewVerifier(it.Key))))
		a.Notes = append(a.Notes, err == nil)
	}
	a.Signed = string(must(note.Sign(&note.Note{Text: q.Text}, must(note.NewSigner(q.Secret)))))
	var err error
	a.NewSecret, a.NewKey, err = note.GenerateKey(rand.Reader, "example.com/go")
	must(0, err)
	a.NewNote = string(must(note.Sign(&note.Note{Text: q.Text}, must(note.NewSigner(a.NewSecret)))))
	for _, path := range q.Paths {
		// Go's paths name the height of a tile, and call the tiles of entries data.
		theirs := strings.Replace("tile/8/"+strings.TrimPrefix(path, "tile/"), "/entries/", "/data/", 1)
		it, err := tlog.ParseTilePath(theirs)
		written := ""
		if err == nil && strings.HasPrefix(path, "tile/") {
			written = it.Path()
		}
		a.Paths = append(a.Paths, written)
	}
	for _, it := range tlog.NewTiles(8, 0, q.Entries) {
		a.Tiles = append(a.Tiles, tile{it.Path(), must(tlog.ReadTileData(it, reader))})
	}
	must(0, json.NewEncoder(os.Stdout).Encode(a))
}
