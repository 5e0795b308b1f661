package streamtest

var randomTests []test
