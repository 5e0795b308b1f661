package streamtest
var headTests, watchTests, lifeTests, randomTests []test
