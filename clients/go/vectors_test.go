package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"os"
	"strconv"
	"testing"
)

// The known answers of proto/vectors, which the nodes' own code makes and checks.

func load(t *testing.T, name string, into any) {
	t.Helper()
	folder := os.Getenv("CBDC_VECTORS")
	if folder == "" {
		folder = "../../proto/vectors"
	}
	text, err := os.ReadFile(folder + "/" + name + ".json")
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func networks(t *testing.T) map[string]genesis {
	t.Helper()
	var vectors struct {
		Networks []struct {
			Name, Genesis string
			NetworkID     string `json:"network_id"`
		}
		Refused []struct{ Why, Genesis string }
	}
	load(t, "genesis", &vectors)
	found := map[string]genesis{}
	for _, item := range vectors.Networks {
		g, err := parseGenesis(unhex(t, item.Genesis))
		if err != nil || hex.EncodeToString(g.networkID[:]) != item.NetworkID {
			t.Errorf("%s: %v, %x", item.Name, err, g.networkID)
		}
		found[item.Name] = g
	}
	for _, item := range vectors.Refused {
		if _, err := parseGenesis(unhex(t, item.Genesis)); err == nil {
			t.Errorf("a genesis was read: %s", item.Why)
		}
	}
	return found
}

func TestReceipts(t *testing.T) {
	var vectors struct {
		Accepted, Refused []struct{ Name, Why, Network, Message, Height, Command string }
	}
	load(t, "receipts", &vectors)
	known := networks(t)
	if len(vectors.Accepted) < 5 || len(vectors.Refused) < 18 {
		t.Fatal("receipts are missing")
	}
	for _, item := range vectors.Accepted {
		found, err := verifyReceipt(known[item.Network], unhex(t, item.Message))
		isSame := strconv.FormatUint(found.height, 10) == item.Height && hex.EncodeToString(found.command) == item.Command
		if err != nil || !isSame {
			t.Errorf("%s: %v", item.Name, err)
		}
	}
	for _, item := range vectors.Refused {
		if _, err := verifyReceipt(known[item.Network], unhex(t, item.Message)); err == nil {
			t.Errorf("a receipt was accepted: %s", item.Why)
		}
	}
}

func TestMerkleTrees(t *testing.T) {
	var vectors struct {
		Leaves []string
		Trees  []struct {
			LeafCount uint32 `json:"leaf_count"`
			Root      string
			Paths     [][]string
		}
	}
	load(t, "merkle", &vectors)
	for _, tree := range vectors.Trees {
		for index, digits := range tree.Paths {
			var path [][]byte
			for _, sibling := range digits {
				path = append(path, unhex(t, sibling))
			}
			leaf := blake3Keyed(leafKey, []byte{byte(index)})
			top, ok := rootFromPath(leaf, uint32(index), tree.LeafCount, path)
			if !ok || hex.EncodeToString(top[:]) != tree.Root {
				t.Errorf("leaf %d of %d", index, tree.LeafCount)
			}
		}
	}
}

func TestRecordsAndAccounts(t *testing.T) {
	var records struct {
		NetworkID string `json:"network_id"`
		Records   []struct {
			Name, Record, Signed, Hash string
			SignerSeed                 string `json:"signer_seed"`
		}
	}
	load(t, "records", &records)
	var networkID [32]byte
	copy(networkID[:], unhex(t, records.NetworkID))
	for _, item := range records.Records {
		record, key := unhex(t, item.Record), ed25519.NewKeyFromSeed(unhex(t, item.SignerSeed))
		signed := append(record, ed25519.Sign(key, append(prefix("CBDCcmd", networkID), record...))...)
		hash := blake3(signed)
		if !bytes.Equal(signed, unhex(t, item.Signed)) || hex.EncodeToString(hash[:]) != item.Hash {
			t.Error(item.Name)
		}
	}
	var accounts struct {
		Accounts []struct{ Account, ID string }
	}
	load(t, "accounts", &accounts)
	for _, item := range accounts.Accounts {
		id, err := strconv.ParseUint(item.ID, 10, 64)
		if err != nil || accountText(id) != item.Account {
			t.Errorf("%s: %s", item.Account, accountText(id))
		}
	}
}

func TestSignatures(t *testing.T) {
	type vector struct{ Why, Key, Message, Signature string }
	var vectors struct{ Signed, Refused []vector }
	load(t, "signatures", &vectors)
	check := func(item vector, expected bool) {
		if ed25519.Verify(unhex(t, item.Key), unhex(t, item.Message), unhex(t, item.Signature)) != expected {
			t.Error(item.Why)
		}
	}
	for _, item := range vectors.Signed {
		check(item, true)
	}
	for _, item := range vectors.Refused {
		check(item, false)
	}
}
