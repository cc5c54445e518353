print("warmgate")
