"""One file, one published method, by the job it does. Methods never import each other, nor who trains or measures them."""
